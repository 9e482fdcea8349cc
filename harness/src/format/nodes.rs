//! The lists and mappings around a line: where each stands, and where it should.

/// A list or a mapping.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its column in the file.
    pub(super) old: usize,
    /// Its column as it should be.
    pub(super) new: usize,
    pub(super) is_list: bool,
    pub(super) id: usize,
    /// The key that it is the value of.
    pub(super) key: String,
}

/// Those around the current line, the outermost first.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    stack: Vec<Node>,
    count: usize,
}

/// One step further in.
const INDENT: usize = 2;

impl Nodes {
    /// Goes to a line that begins at this column; `key` is the one that the line before left without a value.
    /// `None`: that is no place where a line can begin.
    pub(super) fn go_to(&mut self, column: usize, is_list: bool, key: &str) -> Option<()> {
        while self.stack.last().is_some_and(|node| node.old > column) {
            self.stack.pop();
        }
        let Some(top) = self.stack.last() else {
            self.push(column, 0, is_list, key);
            return Some(());
        };
        let new = top.new;
        if top.old < column {
            self.push(column, new + INDENT, is_list, key);
        } else if is_list && !top.is_list {
            // A list may stand right below its key.
            self.push(column, new + INDENT, true, key);
        } else if !is_list && top.is_list {
            self.stack.pop();
            self.stack.last().filter(|node| node.old == column && !node.is_list)?;
        }
        Some(())
    }

    /// The item of a list, behind its dash.
    pub(super) fn go_into(&mut self, column: usize, is_list: bool) {
        let new = self.stack.last().map_or(0, |node| node.new) + INDENT;
        self.push(column, new, is_list, "");
    }

    pub(super) fn last(&self) -> Option<&Node> {
        self.stack.last()
    }

    /// The innermost list.
    pub(super) fn list(&self) -> Option<&Node> {
        self.stack.iter().rfind(|node| node.is_list)
    }

    /// Where what stands at this column should stand, if something does.
    pub(super) fn moved(&self, column: usize) -> Option<usize> {
        self.stack.iter().rfind(|node| node.old == column).map(|node| node.new)
    }

    fn push(&mut self, old: usize, new: usize, is_list: bool, key: &str) {
        self.count += 1;
        self.stack.push(Node { old, new, is_list, id: self.count, key: key.to_owned() });
    }
}

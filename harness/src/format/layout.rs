//! All lines of a file: where each begins, and how far its key reaches.

use std::collections::BTreeMap;

use super::{
    flow::spaced,
    lines::{Open, key_and_value, scan},
    nodes::Nodes,
};
use crate::scenario::verbs;

/// Verbs up to this length, in characters, share a column; longer ones push nothing.
const ALIGNED_CHARS_MAX: usize = 7;

/// A line of the result, not aligned yet.
enum Line {
    Blank,
    /// A comment of its own, at this column of the file; where it should stand, if the lines above tell.
    Comment {
        old: usize,
        new: Option<usize>,
        text: String,
    },
    Code(Code),
    /// Inside a text or a collection of several lines.
    Inside(String),
}

struct Code {
    old: usize,
    new: usize,
    dashes: String,
    key: Option<String>,
    value: String,
    comment: String,
    /// Keys of one group begin their values at one column.
    group: Option<usize>,
}

/// The text as it should be; `None`: it is not sure of a line.
pub(super) fn layout(source: &str) -> Option<String> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source).replace("\r\n", "\n");
    if source.contains('\r') {
        return None;
    }
    let mut reader = Reader { verbs: verbs(), ..Reader::default() };
    for line in source.lines() {
        reader.take(line)?;
    }
    Some(written(&reader.lines))
}

#[derive(Default)]
struct Reader {
    verbs: Vec<String>,
    nodes: Nodes,
    lines: Vec<Line>,
    open: Open,
    /// A block of text lasts while lines are deeper than this column.
    block: Option<usize>,
    /// A plain text goes on while lines are deeper than this column.
    plain: Option<usize>,
    /// How far the last code was moved, in columns.
    shift: isize,
    /// The key that the last code left without a value.
    key: String,
}

impl Reader {
    fn take(&mut self, line: &str) -> Option<()> {
        let trimmed = line.trim_start_matches(' ');
        let column = line.len() - trimmed.len();
        let is_blank = trimmed.trim().is_empty();
        if let Some(least) = self.block {
            if is_blank || column > least {
                self.lines.push(Line::Inside(shifted(line, self.shift)));
                return Some(());
            }
            self.block = None;
        }
        if !self.open.is_closed() {
            let was_quoted = self.open.is_quoted();
            let scanned = scan(line, self.open);
            self.open = scanned.open;
            let is_text = was_quoted || self.open.is_quoted();
            let line = if is_text { line } else { line.trim_end() };
            self.lines.push(Line::Inside(shifted(line, self.shift)));
            return (!scanned.is_odd).then_some(());
        }
        if is_blank {
            self.lines.push(Line::Blank);
            return Some(());
        }
        if trimmed.starts_with('#') {
            let (new, text) = (self.nodes.moved(column), trimmed.trim_end().to_owned());
            self.lines.push(Line::Comment { old: column, new, text });
            return Some(());
        }
        if self.plain.is_some_and(|least| column > least) {
            self.lines.push(Line::Inside(shifted(line.trim_end(), self.shift)));
            return Some(());
        }
        let is_marker = trimmed.starts_with("---") || trimmed.starts_with("...");
        if trimmed.starts_with('\t') || is_marker {
            return None;
        }
        self.code(trimmed, column)
    }

    fn code(&mut self, code: &str, column: usize) -> Option<()> {
        let key = std::mem::take(&mut self.key);
        self.nodes.go_to(column, is_item(code), &key)?;
        let new = self.nodes.last()?.new;
        let (mut rest, mut at, mut outer, mut dashes) = (code, column, column, String::new());
        while is_item(rest) {
            let inner = rest[1..].trim_start_matches(' ');
            if inner.is_empty() || inner.starts_with('#') {
                break;
            }
            outer = at;
            at += rest.len() - inner.len();
            rest = inner;
            self.nodes.go_into(at, is_item(rest));
            dashes.push_str("- ");
        }
        let scanned = scan(rest, Open::default());
        if scanned.is_odd {
            return None;
        }
        let last = self.nodes.last()?;
        let split = key_and_value(scanned.code).filter(|_| scanned.code != "-");
        let (key, value) = split.map_or((None, scanned.code), |(key, value)| (Some(key), value));
        let is_flow = value.starts_with(['{', '[']);
        let is_plain = !value.is_empty() && !is_flow && !value.starts_with(['"', '\'', '|', '>']);
        self.open = scanned.open;
        self.shift = isize::try_from(last.new).ok()? - isize::try_from(last.old).ok()?;
        let floor = if key.is_some() { last.old } else { outer };
        self.plain = is_plain.then_some(floor);
        self.block = scanned.begins_block.then_some(floor);
        if value.is_empty() {
            key.unwrap_or_default().clone_into(&mut self.key);
        }
        let is_whole = is_flow && self.open.is_closed();
        let is_step =
            !dashes.is_empty() && key.is_some_and(|key| self.verbs.iter().any(|verb| verb == key));
        let is_name = dashes.is_empty() && ["actors", "rooms"].contains(&last.key.as_str());
        let group = match (is_step, is_name) {
            (true, _) => self.nodes.list().map(|list| list.id),
            (_, true) => Some(last.id),
            _ => None,
        };
        let comment = scanned.comment.map(|(gap, comment)| format!("{gap}{comment}"));
        self.lines.push(Line::Code(Code {
            old: column,
            new,
            dashes,
            key: key.map(str::to_owned),
            value: if is_whole { spaced(value) } else { value.to_owned() },
            comment: comment.unwrap_or_default(),
            group: group.filter(|_| !value.is_empty()),
        }));
        Some(())
    }
}

/// Whether code begins with a dash.
fn is_item(code: &str) -> bool {
    code == "-" || code.starts_with("- ")
}

fn shifted(line: &str, shift: isize) -> String {
    let column = line.len() - line.trim_start_matches(' ').len();
    let shifted = column.saturating_add_signed(shift);
    if line.trim().is_empty() && shift != 0 {
        return String::new();
    }
    format!("{}{}", " ".repeat(shifted), &line[column..])
}

fn written(lines: &[Line]) -> String {
    let widths = widths(lines);
    let mut text = String::new();
    let mut is_after_blank = true;
    for (index, line) in lines.iter().enumerate() {
        if matches!(line, Line::Blank) {
            if !is_after_blank {
                text.push('\n');
            }
            is_after_blank = true;
            continue;
        }
        is_after_blank = false;
        match line {
            Line::Blank => {}
            Line::Comment { old, new, text: comment } => {
                let new = comment_column(*old, *new, &lines[index..]);
                text.push_str(&" ".repeat(new));
                text.push_str(comment);
            }
            Line::Code(code) => text.push_str(&code.written(&widths)),
            Line::Inside(inside) => text.push_str(inside),
        }
        text.push('\n');
    }
    let is_open = matches!(lines.last(), Some(Line::Inside(_)));
    if !is_open {
        text.truncate(text.trim_end_matches('\n').len());
        if !text.is_empty() {
            text.push('\n');
        }
    }
    text
}

/// How wide the keys of each group are, in characters.
fn widths(lines: &[Line]) -> BTreeMap<usize, usize> {
    let mut widths = BTreeMap::new();
    for line in lines {
        let Line::Code(Code { key: Some(key), group: Some(group), dashes, .. }) = line else {
            continue;
        };
        let width = key.chars().count();
        if dashes.is_empty() || width <= ALIGNED_CHARS_MAX {
            let widest = widths.entry(*group).or_insert(0);
            *widest = width.max(*widest);
        }
    }
    widths
}

/// A comment belongs to the code below it, else to what stands around it.
fn comment_column(old: usize, around: Option<usize>, below: &[Line]) -> usize {
    let next = below.iter().find_map(|line| match line {
        Line::Code(code) => Some(code),
        Line::Blank | Line::Comment { .. } | Line::Inside(_) => None,
    });
    match (next, around) {
        (Some(code), _) if code.old == old => code.new,
        (_, Some(new)) => new,
        (Some(code), None) => code.new,
        (None, None) => old,
    }
}

impl Code {
    fn written(&self, widths: &BTreeMap<usize, usize>) -> String {
        let Self { new, dashes, key, value, comment, group, .. } = self;
        let indent = " ".repeat(*new);
        let Some(key) = key else { return format!("{indent}{dashes}{value}{comment}") };
        let width = group.and_then(|group| widths.get(&group)).copied().unwrap_or_default();
        let padding = width.saturating_sub(key.chars().count());
        let gap = if value.is_empty() { 0 } else { padding + 1 };
        format!("{indent}{dashes}{key}:{}{value}{comment}", " ".repeat(gap))
    }
}

//! One line: what of it is code and what is a comment, and what is still open at its end.

/// What is open where a line begins or ends: flow collections, a quoted text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    depth: usize,
    quote: Option<char>,
}

impl Open {
    pub(super) fn is_closed(self) -> bool {
        self == Self::default()
    }

    pub(super) fn is_quoted(self) -> bool {
        self.quote.is_some()
    }
}

/// A line, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned<'l> {
    /// Without the comment and the spaces before it.
    pub(super) code: &'l str,
    /// The spaces before the comment, and the comment.
    pub(super) comment: Option<(&'l str, &'l str)>,
    pub(super) open: Open,
    /// A block of text follows: `|` or `>`.
    pub(super) begins_block: bool,
    /// Something that only a real parser understands: anchors, aliases, tags, complex keys.
    pub(super) is_odd: bool,
}

/// Reads a line from its first letter on.
pub(super) fn scan(line: &str, open: Open) -> Scanned<'_> {
    let mut scanner = Scanner { open, is_token_start: true, begins_block: false, is_odd: false };
    let mut before = ' ';
    let mut letters = line.char_indices().peekable();
    while let Some((index, c)) = letters.next() {
        if let Some(quote) = scanner.open.quote {
            if c == '\\' && quote == '"' {
                letters.next();
            } else if c == quote
                && (quote == '"' || letters.next_if(|(_, next)| *next == quote).is_none())
            {
                scanner.open.quote = None;
            }
            before = c;
            continue;
        }
        if c == '#' && (before == ' ' || before == '\t') {
            let code = line[..index].trim_end();
            let comment = Some((&line[code.len()..index], line[index..].trim_end()));
            let Scanner { open, begins_block, is_odd, .. } = scanner;
            return Scanned { code, comment, open, begins_block, is_odd };
        }
        let next = letters.peek().map(|(_, next)| *next);
        scanner.take(c, next);
        before = c;
    }
    let Scanner { open, begins_block, is_odd, .. } = scanner;
    Scanned { code: line.trim_end(), comment: None, open, begins_block, is_odd }
}

struct Scanner {
    open: Open,
    is_token_start: bool,
    begins_block: bool,
    is_odd: bool,
}

impl Scanner {
    /// A letter outside of quotes.
    fn take(&mut self, c: char, next: Option<char>) {
        let is_flow = self.open.depth > 0;
        let ends_token = |next: Option<char>| next.is_none_or(|next| next == ' ');
        match c {
            ' ' => {}
            '"' | '\'' if self.is_token_start => {
                self.open.quote = Some(c);
                self.is_token_start = false;
            }
            '{' | '[' if is_flow || self.is_token_start => {
                self.open.depth += 1;
                self.is_token_start = true;
            }
            '}' | ']' if is_flow => {
                self.open.depth -= 1;
                self.is_token_start = false;
            }
            ',' if is_flow => self.is_token_start = true,
            ':' if ends_token(next)
                || (is_flow && next.is_some_and(|next| ",}]\"".contains(next))) =>
            {
                self.is_token_start = true;
            }
            '-' if self.is_token_start && !is_flow && ends_token(next) => {}
            '|' | '>' if self.is_token_start && !is_flow => {
                self.begins_block = true;
                self.is_token_start = false;
            }
            '&' | '*' | '!' | '?' | '%' | '@' | '`' if self.is_token_start => {
                self.is_odd = true;
                self.is_token_start = false;
            }
            '\t' => self.is_odd = true,
            _ => self.is_token_start = false,
        }
    }
}

/// A key and what stands behind its colon, if the code is that.
pub(super) fn key_and_value(code: &str) -> Option<(&str, &str)> {
    let first = code.chars().next()?;
    if first == '{' || first == '[' {
        return None;
    }
    let from = if first == '"' || first == '\'' {
        let mut end = 1;
        while !scan(&code[..end], Open::default()).open.is_closed() {
            end += code[end..].chars().next()?.len_utf8();
        }
        end
    } else {
        0
    };
    let colon = code[from..].match_indices(':').map(|(index, _)| from + index);
    let mut colon =
        colon.filter(|index| code[index + 1..].is_empty() || code[index + 1..].starts_with(' '));
    let colon = colon.next()?;
    Some((code[..colon].trim_end(), code[colon + 1..].trim_start()))
}

/// The comments of a text in their order, as far as lines show them.
pub(super) fn comments(source: &str) -> Vec<&str> {
    let mut open = Open::default();
    let mut comments = Vec::new();
    for line in source.lines() {
        let scanned = scan(line, open);
        open = scanned.open;
        comments.extend(scanned.comment.map(|(_, comment)| comment));
    }
    comments
}

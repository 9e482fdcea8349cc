//! Spaces in `{ a: 1, b: [x, y] }`.

/// The value with its spaces as they should be. `value`: one whole flow collection on one line.
pub(super) fn spaced(value: &str) -> String {
    let mut spaced = Spaced { text: String::new(), is_token_start: true, last_was_quoted: false };
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' | '\'' if spaced.is_token_start => spaced.quoted(c, &mut rest),
            '{' | '[' => spaced.open(c, &mut rest),
            '}' | ']' => spaced.close(c),
            ',' => spaced.separator(", "),
            ':' if spaced.last_was_quoted
                || rest.peek().is_none_or(|next| " ,}]".contains(*next)) =>
            {
                spaced.separator(": ");
            }
            ' ' if spaced.is_token_start => {}
            ' ' => spaced.text.push(c),
            _ => {
                spaced.text.push(c);
                (spaced.is_token_start, spaced.last_was_quoted) = (false, false);
            }
        }
    }
    spaced.text.trim_end().to_owned()
}

struct Spaced {
    text: String,
    /// Nothing of the next token was seen yet.
    is_token_start: bool,
    last_was_quoted: bool,
}

type Rest<'v> = std::iter::Peekable<std::str::Chars<'v>>;

impl Spaced {
    fn quoted(&mut self, quote: char, rest: &mut Rest<'_>) {
        self.text.push(quote);
        while let Some(c) = rest.next() {
            self.text.push(c);
            if c == '\\' && quote == '"' {
                self.text.extend(rest.next());
            } else if c == quote {
                if quote == '\'' && rest.peek() == Some(&quote) {
                    self.text.extend(rest.next());
                    continue;
                }
                break;
            }
        }
        (self.is_token_start, self.last_was_quoted) = (false, true);
    }

    fn open(&mut self, c: char, rest: &mut Rest<'_>) {
        self.text.push(c);
        while rest.next_if_eq(&' ').is_some() {}
        if c == '{' && rest.peek() != Some(&'}') {
            self.text.push(' ');
        }
        (self.is_token_start, self.last_was_quoted) = (true, false);
    }

    fn close(&mut self, c: char) {
        self.trim();
        if c == '}' && !self.text.ends_with('{') {
            self.text.push(' ');
        }
        self.text.push(c);
        (self.is_token_start, self.last_was_quoted) = (false, false);
    }

    fn separator(&mut self, separator: &str) {
        self.trim();
        self.text.push_str(separator);
        (self.is_token_start, self.last_was_quoted) = (true, false);
    }

    fn trim(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
    }
}

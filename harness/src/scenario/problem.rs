//! What is wrong with a file: where, in words, with the line itself and what was probably meant.

use std::{fmt, string::FromUtf8Error};

use serde_saphyr::Location;

use super::Spanned;

/// Longest part of a line that is shown, in characters.
const LINE_CHARS_MAX: usize = 160;

/// A place in a file. Line and column count from 1; line 0: the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

impl Place {
    /// Where a key of the file itself stands, such as `actors`.
    pub fn of_key(source: &str, key: &str) -> Self {
        let is_it = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        let line = (1..).zip(source.lines()).find(|(_, line)| is_it(line)).map(|(line, _)| line);
        line.map_or_else(Self::default, |line| Self { line, column: 1 })
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

impl<T> From<&Spanned<T>> for Place {
    fn from(spanned: &Spanned<T>) -> Self {
        spanned.referenced.into()
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    pub place: Place,
    /// The line of the file, without its end.
    pub line: String,
    pub text: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A mistake at `place` of the file whose whole text is `source`.
    pub fn new(file: &str, source: &str, place: Place, text: impl Into<String>) -> Self {
        let index = usize::try_from(place.line).unwrap_or(0);
        let line = index.checked_sub(1).and_then(|index| source.lines().nth(index));
        let line = line.unwrap_or_default().to_owned();
        Self { file: file.to_owned(), place, line, text: text.into(), help: None }
    }

    /// A file that is no text, at the first byte that is not.
    pub fn no_text(file: &str, error: &FromUtf8Error) -> Self {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let source = String::from_utf8_lossy(error.as_bytes());
        let good = String::from_utf8_lossy(good);
        let last = good.rsplit('\n').next().unwrap_or_default();
        let (line, column) =
            (good.matches('\n').count() as u64 + 1, last.chars().count() as u64 + 1);
        let problem = Self::new(
            file,
            &source,
            Place { line, column },
            "the file is no text in UTF-8 from here on",
        );
        problem.with_help("save it as UTF-8; pictures and archives are no scenarios")
    }

    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds `did you mean ...` if something known is close to what was written, else all that is known.
    #[must_use]
    pub fn with_known<'a>(self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match closest(written, &known) {
            Some(meant) => self.with_help(format!("did you mean `{meant}`?")),
            None if known.is_empty() => self,
            None => {
                let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                self.with_help(format!("known here: {}", known.join(", ")))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place, line, text, help } = self;
        if place.line == 0 {
            write!(f, "{file}: {text}")?;
        } else {
            let Place { line: number, column } = place;
            let margin = " ".repeat(number.to_string().len());
            let (line, before) =
                around(line, usize::try_from(column.saturating_sub(1)).unwrap_or(0));
            let letters = line.chars().take(before);
            let pad: String = letters.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(
                f,
                "{file}:{number}:{column}: {text}\n{margin} |\n{number} | {line}\n{margin} | {pad}^"
            )?;
        }
        match help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// What is shown of a line, and where in it the mistake is: a long one is cut, and what would disturb a terminal replaced.
fn around(line: &str, column: usize) -> (String, usize) {
    let is_shown = |c: char| !c.is_control() || c == '\t';
    let shown = line.chars().map(|c| if is_shown(c) { c } else { '\u{fffd}' });
    let letters: Vec<char> = shown.collect();
    let from =
        if letters.len() <= LINE_CHARS_MAX { 0 } else { column.saturating_sub(LINE_CHARS_MAX / 2) };
    let to = letters.len().min(from + LINE_CHARS_MAX);
    let (begin, end) = (if from > 0 { "…" } else { "" }, if to < letters.len() { "…" } else { "" });
    let text: String = letters.get(from..to).unwrap_or_default().iter().collect();
    (format!("{begin}{text}{end}"), column - from + begin.chars().count())
}

/// The known name that is nearest to what was written, if it is near enough to be meant.
pub fn closest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = written.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance <= (name.chars().count().max(3)) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_is_near() {
        let known = ["connect", "disconnect", "join", "deliver"];
        assert_eq!(closest("conect", &known), Some("connect"));
        assert_eq!(closest("JOIN", &known), Some("join"));
        assert_eq!(closest("delivre", &known), Some("deliver"));
        assert_eq!(closest("frobnicate", &known), None);
        assert_eq!(closest("x", &["ttl"]), None);
    }

    #[test]
    fn a_long_line_is_cut_around_the_mistake() {
        let line = format!("{}x{}", "a".repeat(1_000), "b".repeat(1_000));
        let (shown, column) = around(&line, 1_000);
        assert_eq!(shown.chars().nth(column), Some('x'));
        assert_eq!(shown.chars().count(), LINE_CHARS_MAX + 2);
        assert_eq!(around("a\0b", 1), ("a\u{fffd}b".to_owned(), 1));
        assert_eq!(around("", 7), (String::new(), 7));
    }

    #[test]
    fn a_problem_shows_its_line() {
        let source = "a: 1\n\tb: tow\n";
        let place = Place { line: 2, column: 5 };
        let problem =
            Problem::new("f.yaml", source, place, "`tow` is no number").with_help("write `2`");
        let expect =
            "f.yaml:2:5: `tow` is no number\n  |\n2 | \tb: tow\n  | \t   ^\n  help: write `2`";
        assert_eq!(problem.to_string(), expect);
    }
}

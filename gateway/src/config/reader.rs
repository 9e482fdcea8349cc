//! Reads single settings from the environment, remembers each with its source, and collects every problem
//! instead of stopping at the first.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use secrecy::SecretString;

/// Shown instead of a secret.
const MASK: &str = "********";

/// A setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    pub name: &'static str,
    /// Masked if it is secret; empty if it is not set.
    pub value: String,
    /// `ms`, `s`, `bytes`, ... or empty.
    pub unit: &'static str,
    pub source: Source,
    /// What it means, in one sentence.
    pub help: &'static str,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Environment,
    CommandLine,
    Default,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::CommandLine => "command line",
            Self::Default => "default",
        }
    }
}

/// The environment as settings. A value that is empty or blank counts as not set.
#[derive(Debug)]
pub(super) struct Reader {
    environment: BTreeMap<String, String>,
    pub(super) effective: Vec<Effective>,
    /// Each begins with the name of the setting.
    pub(super) problems: Vec<String>,
}

impl Reader {
    pub(super) fn new(environment: BTreeMap<String, String>) -> Self {
        Self { environment, effective: Vec::new(), problems: Vec::new() }
    }

    pub(super) fn problem(&mut self, name: &str, text: impl Display) {
        self.problems.push(format!("{name}: {text}"));
    }

    /// The raw value, without noting it as effective.
    pub(super) fn raw(&mut self, name: &str) -> Option<String> {
        let value = self.environment.get(name)?.trim().to_owned();
        if value.contains(char::REPLACEMENT_CHARACTER) {
            self.problems.push(format!("{name}: is not valid UTF-8"));
        }
        Some(value).filter(|value| !value.is_empty())
    }

    pub(super) fn note(
        &mut self,
        name: &'static str,
        value: impl Into<String>,
        unit: &'static str,
        source: Source,
        help: &'static str,
    ) {
        self.effective.push(Effective { name, value: value.into(), unit, source, help });
    }

    pub(super) fn optional(&mut self, name: &'static str, help: &'static str) -> Option<String> {
        let value = self.raw(name);
        let source = if value.is_some() { Source::Environment } else { Source::Default };
        self.note(name, value.clone().unwrap_or_default(), "", source, help);
        value
    }

    pub(super) fn text(&mut self, name: &'static str, default: &str, help: &'static str) -> String {
        let Some(value) = self.raw(name) else {
            self.note(name, default, "", Source::Default, help);
            return default.to_owned();
        };
        self.note(name, value.clone(), "", Source::Environment, help);
        value
    }

    /// A value that is shown masked.
    pub(super) fn secret(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> Option<SecretString> {
        // Byte for byte: blanks at its ends belong to a secret.
        let value = self.raw(name).and_then(|_| self.environment.get(name).cloned());
        let (shown, source) = match value {
            Some(_) => (MASK, Source::Environment),
            None => ("", Source::Default),
        };
        self.note(name, shown, "", source, help);
        value.map(SecretString::from)
    }

    /// A URL whose user info is shown masked.
    pub(super) fn url(&mut self, name: &'static str, help: &'static str) -> Option<SecretString> {
        let value = self.raw(name)?;
        self.note(name, mask_url(&value), "", Source::Environment, help);
        Some(SecretString::from(value))
    }

    /// A whole number within `range`, in `unit`.
    pub(super) fn number<T>(
        &mut self,
        name: &'static str,
        unit: &'static str,
        default: T,
        range: RangeInclusive<T>,
        help: &'static str,
    ) -> T
    where
        T: FromStr + Display + PartialOrd + Copy,
    {
        let Some(text) = self.raw(name) else {
            self.note(name, default.to_string(), unit, Source::Default, help);
            return default;
        };
        self.note(name, text.clone(), unit, Source::Environment, help);
        match text.parse::<T>() {
            Ok(value) if range.contains(&value) => value,
            _ => {
                let of = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
                let (low, high) = (range.start(), range.end());
                self.problem(
                    name,
                    format!("`{text}` is not a whole number from {low} to {high}{of}"),
                );
                default
            }
        }
    }

    pub(super) fn milliseconds(
        &mut self,
        name: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        help: &'static str,
    ) -> Duration {
        Duration::from_millis(self.number(name, "ms", default, range, help))
    }

    /// One word of `words`, in any letter case.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
        default: usize,
        help: &'static str,
    ) -> T {
        let Some(text) = self.raw(name) else {
            self.note(name, words[default].0, "", Source::Default, help);
            return words[default].1;
        };
        self.note(name, text.clone(), "", Source::Environment, help);
        if let Some((_, value)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text)) {
            return *value;
        }
        let names: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.problem(name, format!("`{text}` is none of {}", names.join(", ")));
        words[default].1
    }
}

/// The URL with its user info masked; a text that is no URL is masked whole. A password that should have been escaped
/// is masked as well: everything before the last `@` counts as user info, and with a `?` before it nobody can tell
/// whether a place or a parameter follows.
pub(super) fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.starts_with("sqlite:") { url.to_owned() } else { MASK.to_owned() };
    };
    let (user_info, place) = match rest.rsplit_once('@') {
        Some((before, _)) if before.contains('?') => return format!("{scheme}://{MASK}"),
        Some((user_info, place)) => (Some(user_info), place),
        None => (None, rest),
    };
    // Parameters may carry a password as well.
    let place =
        place.split_once('?').map_or(place.to_owned(), |(place, _)| format!("{place}?{MASK}"));
    match user_info {
        Some(user_info) => {
            let user = user_info.split(':').next().unwrap_or_default();
            let user = if user.contains(['/', '?', '#']) { MASK } else { user };
            format!("{scheme}://{user}:{MASK}@{place}")
        }
        None => format!("{scheme}://{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked() {
        let check = |url: &str, expect: &str| assert_eq!(mask_url(url), expect);
        check("postgres://chat:s3c@db:5432/chat", "postgres://chat:********@db:5432/chat");
        check("redis://:p@ss@host:6379/0", "redis://:********@host:6379/0");
        check("postgres://chat:p/s#sx@db/chat", "postgres://chat:********@db/chat");
        check("postgres://chat:p/s#s?x@db/chat", "postgres://********");
        check("postgres://db/chat?password=p@ss", "postgres://********");
        check("postgres://chat@db/chat?password=p@ss", "postgres://********");
        check("postgres://db/chat?password=x", "postgres://db/chat?********");
        check("sqlite:/data/chat.db", "sqlite:/data/chat.db");
        check("not a url with secret", MASK);
    }

    #[test]
    fn a_blank_value_counts_as_not_set_and_a_wrong_one_is_a_problem() {
        let environment = [("A", " "), ("B", "x"), ("C", "70000")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut reader = Reader::new(environment.into());
        assert_eq!(reader.number("A", "ms", 5_u64, 0..=10, ""), 5);
        assert_eq!(reader.number("B", "ms", 5_u64, 0..=10, ""), 5);
        assert_eq!(reader.number::<u16>("C", "", 5, 0..=10, ""), 5);
        assert_eq!(
            reader.problems,
            [
                "B: `x` is not a whole number from 0 to 10 (ms)",
                "C: `70000` is not a whole number from 0 to 10"
            ]
        );
    }
}

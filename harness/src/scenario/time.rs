//! Times as people write them: `250ms`, `1.5s`, `${ttl} + 500ms`, `2 * ${heartbeat}`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};

/// A sum of durations and of times that the stack names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    written: String,
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    is_subtracted: bool,
    factor: u32,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Fixed(Duration),
    Named(&'static str),
}

/// The values of the symbolic names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeNames {
    pub ttl: Duration,
    pub heartbeat: Duration,
    pub ping: Duration,
    pub lease: Duration,
}

/// The symbolic names, in the order of [`TimeNames`].
const NAMES: [&str; 4] = ["ttl", "heartbeat", "ping", "lease"];

/// Units, the longer ones first: `ms` ends like `s`.
const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("min", 60.0), ("s", 1.0), ("h", 3_600.0)];

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("`{0}` is no time: write for example `250ms`, `1.5s`, `2min` or `${{ttl}} + 500ms`")]
    NotATime(String),
    #[error(
        "a time with a name stands in quotes: \"${{ttl}}\", since `{{` begins something in YAML"
    )]
    Unquoted,
    #[error("a time begins with a number or a name, not with a sign")]
    Sign,
    #[error("`{0}` has no unit: write `{0}ms` or `{0}s`")]
    NoUnit(String),
    #[error(
        "`${{{0}}}` is no time that the stack names: it names `${{ttl}}`, `${{heartbeat}}`, `${{ping}}` and `${{lease}}`"
    )]
    Unknown(String),
    #[error("`{0}` is longer than an hour")]
    TooLong(String),
}

/// Longest time that a fixture may name.
const LONGEST: Duration = Duration::from_hours(1);

impl Time {
    /// Its length. A difference below zero is zero.
    pub fn resolve(&self, names: TimeNames) -> Duration {
        let length = |term: &Term| {
            let one = match term.what {
                What::Fixed(duration) => duration,
                What::Named("ttl") => names.ttl,
                What::Named("heartbeat") => names.heartbeat,
                What::Named("ping") => names.ping,
                What::Named(_) => names.lease,
            };
            one.saturating_mul(term.factor)
        };
        let (minus, plus): (Vec<_>, Vec<_>) = self.terms.iter().partition(|it| it.is_subtracted);
        let sum = |terms: Vec<&Term>| {
            terms.into_iter().map(length).fold(Duration::ZERO, Duration::saturating_add)
        };
        sum(plus).saturating_sub(sum(minus))
    }

    /// Its length where no name may be used: a time of the stack itself.
    pub fn fixed(&self) -> Duration {
        let nothing = Duration::ZERO;
        self.resolve(TimeNames { ttl: nothing, heartbeat: nothing, ping: nothing, lease: nothing })
    }

    /// The symbolic names in it.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.terms.iter().filter_map(|term| match term.what {
            What::Named(name) => Some(name),
            What::Fixed(_) => None,
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(written: &str) -> Result<Self, TimeError> {
        let mut terms = Vec::new();
        let mut rest = written.trim();
        let mut is_subtracted = false;
        if rest.starts_with(['+', '-']) {
            return Err(TimeError::Sign);
        }
        loop {
            let end = rest.find(['+', '-']).unwrap_or(rest.len());
            terms.push(term(rest[..end].trim(), is_subtracted)?);
            let Some(sign) = rest[end..].chars().next() else { break };
            is_subtracted = sign == '-';
            rest = rest[end + 1..].trim_start();
        }
        Ok(Self { written: written.to_owned(), terms })
    }
}

fn term(text: &str, is_subtracted: bool) -> Result<Term, TimeError> {
    if text.trim() == "$" {
        // What follows was taken for a mapping.
        return Err(TimeError::Unquoted);
    }
    let not_a_time = || TimeError::NotATime(text.to_owned());
    let (factor, text) = match text.split_once('*') {
        Some((factor, text)) => (factor.trim().parse().map_err(|_| not_a_time())?, text.trim()),
        None => (1, text),
    };
    let what = match text.strip_prefix("${").and_then(|text| text.strip_suffix('}')) {
        Some(name) => {
            let known = NAMES.iter().find(|known| **known == name.trim());
            What::Named(known.ok_or_else(|| TimeError::Unknown(name.trim().to_owned()))?)
        }
        None => What::Fixed(duration(text)?),
    };
    Ok(Term { is_subtracted, factor, what })
}

fn duration(text: &str) -> Result<Duration, TimeError> {
    let is_number =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_number(text) {
        return Err(TimeError::NoUnit(text.to_owned()));
    }
    let (number, seconds) = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?.trim_end(), seconds)))
        .filter(|(number, _)| is_number(number))
        .ok_or_else(|| TimeError::NotATime(text.to_owned()))?;
    let number: f64 = number.parse().map_err(|_| TimeError::NotATime(text.to_owned()))?;
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|length| *length <= LONGEST)
        .ok_or_else(|| TimeError::TooLong(text.to_owned()))
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = NAMES.join("|");
        let units = UNITS.map(|(unit, _)| unit).join("|");
        let one = format!(r"(\d+\s*\*\s*)?(\$\{{\s*({names})\s*\}}|(\d+\.?\d*|\.\d+)\s*({units}))");
        json_schema!({
            "description": "A time: `250ms`, `1.5s`, `2min`, `1h`, `${ttl} + 500ms`, `2 * ${heartbeat}`.",
            "type": "string",
            "pattern": format!(r"^\s*{one}(\s*[+-]\s*{one})*\s*$"),
            "patternErrorMessage": "this is no time: write for example `250ms`, `1.5s`, `2min` or `${ttl} + 500ms`",
            "examples": ["250ms", "1s", "${ttl} + 500ms", "2 * ${heartbeat}"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: TimeNames = TimeNames {
        ttl: Duration::from_secs(1),
        heartbeat: Duration::from_millis(200),
        ping: Duration::from_millis(400),
        lease: Duration::from_secs(3),
    };

    #[test]
    fn times_add_up() {
        let check = |text: &str, milliseconds: u64| {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.resolve(NAMED), Duration::from_millis(milliseconds), "{text}");
            assert_eq!(time.to_string(), text);
        };
        check("250ms", 250);
        check("1.5s", 1_500);
        check("2 min", 120_000);
        check("${ttl} + 500ms", 1_500);
        check("2 * ${heartbeat}+${ping} - 100ms", 700);
        check("100ms - ${lease}", 0);
    }

    #[test]
    fn what_is_no_time_is_said() {
        let check = |text: &str, word: &str| {
            let error = text.parse::<Time>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        };
        check("", "is no time");
        check("soon", "is no time");
        check("$", "stands in quotes");
        check("500", "no unit");
        check("5 apples", "is no time");
        check("${tll}", "`${tll}` is no time that the stack names");
        check("1s +", "is no time");
        check("-1s", "not with a sign");
        check("99999999999999999999s", "longer than an hour");
        check("x * 1s", "is no time");
    }
}

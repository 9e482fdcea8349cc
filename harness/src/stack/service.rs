//! The words of a stack: which servers there are, and what a stack may be called. Pure.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest name of a stack.
const NAME_CHARACTERS_MAX: usize = 40;

/// A server that a stack can have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Apache Kafka, one node that is broker and controller.
    Kafka,
    /// Redis (or Valkey), without persistence.
    Redis,
    /// Postgres with the database `chat`.
    Postgres,
}

/// The name of a stack: letters, digits, `-` and `_`, so that it is a plain file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StackName(String);

/// Why a string is no name of a stack.
#[derive(Debug, thiserror::Error)]
#[error(
    "a stack's name is 1 to {NAME_CHARACTERS_MAX} letters, digits, `-` and `_`, and begins with a letter or digit"
)]
pub struct BadStackName;

impl Service {
    /// All of them, in the order in which they are listed everywhere.
    pub const ALL: [Self; 3] = [Self::Kafka, Self::Redis, Self::Postgres];

    /// Its name in commands, output and file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }

    /// The gateway's setting that points at this server on a loopback port: its name and its value.
    pub fn setting(self, port: u16) -> (&'static str, String) {
        match self {
            Self::Kafka => ("KAFKA_BROKERS", format!("127.0.0.1:{port}")),
            Self::Redis => ("REDIS_URL", format!("redis://127.0.0.1:{port}/0")),
            Self::Postgres => {
                ("DATABASE_URL", format!("postgres://postgres@127.0.0.1:{port}/chat"))
            }
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl StackName {
    /// The name as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StackName {
    type Err = BadStackName;

    fn from_str(name: &str) -> Result<Self, BadStackName> {
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
        if begins_well && name.len() <= NAME_CHARACTERS_MAX && name.chars().all(plain) {
            Ok(Self(name.to_owned()))
        } else {
            Err(BadStackName)
        }
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_plain_file_names_are_refused() {
        for bad in ["", ".", "..", "a/b", "a.lock", "-x", "_x", "a b", "ä", &"x".repeat(41)] {
            assert!(bad.parse::<StackName>().is_err(), "{bad:?}");
        }
        for good in ["default", "7", "CI-run_2", &"x".repeat(40)] {
            assert!(good.parse::<StackName>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn settings_name_the_loopback_address_and_the_port() {
        let settings = Service::ALL.map(|service| service.setting(20_001));
        assert_eq!(settings[0], ("KAFKA_BROKERS", "127.0.0.1:20001".into()));
        assert_eq!(settings[1], ("REDIS_URL", "redis://127.0.0.1:20001/0".into()));
        assert_eq!(
            settings[2],
            ("DATABASE_URL", "postgres://postgres@127.0.0.1:20001/chat".into())
        );
    }
}

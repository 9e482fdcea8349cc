//! A scenario as somebody wrote it: typed, every value with its place in the file.
//!
//! Owns the language of the fixtures (`fixtures/**/*.yaml`) and its mistakes of form. Refuses to know whether names mean
//! anything: `lint` does. The engine runs what passed both.

mod faults;
mod parse;
mod people;
mod problem;
mod rules;
mod shared;
mod stack;
mod steps;
mod text;
mod time;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use faults::{Crash, CrashHow, EndHow, Network, NetworkState, Stop};
pub use parse::parse;
pub use people::{Actor, Client, Device, Transport, Who};
pub use problem::{Place, Problem, closest};
pub use rules::{INVARIANTS, RULES};
pub use serde_saphyr::Spanned;
pub use shared::load_shared;
pub use stack::{Backends, Ping, Stack};
pub use steps::{
    AckWanted, Connect, Deliver, Expect, Join, Never, Parallel, Raw, Repeat, Request, Send, Step,
    Token, TokenPlace, Use, Wait, WaitFor,
};
pub use text::{Generator, Text};
pub use time::{Time, TimeNames};

/// The language on one page, every step in it an example.
pub const LANGUAGE: &str = include_str!("language.txt");

/// One file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, as a sentence.
    pub scenario: Spanned<String>,
    /// For `--tag`.
    #[serde(default)]
    pub tags: Vec<Spanned<String>>,
    /// The rule of the contract that it proves.
    pub spec: Option<Spanned<String>>,
    #[serde(default)]
    pub stack: Stack,
    /// People and their devices.
    pub actors: BTreeMap<String, Spanned<Actor>>,
    /// Who is a member of which room at the start. A room that is not named here has everybody.
    #[serde(default)]
    pub rooms: BTreeMap<String, Spanned<Vec<Spanned<String>>>>,
    pub steps: Vec<Spanned<Step>>,
    /// Invariants to leave unjudged, by name, for a scenario that breaks one on purpose.
    #[serde(default)]
    pub without: Vec<Spanned<String>>,
    pub snapshot: Option<Spanned<Snapshot>>,
}

/// What is kept for review.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    pub transcript: Option<TranscriptKind>,
    pub redis: Option<RedisKind>,
}

/// Which transcripts a snapshot holds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum TranscriptKind {
    PerDevice,
}

/// Which state of Redis a snapshot holds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum RedisKind {
    Final,
}

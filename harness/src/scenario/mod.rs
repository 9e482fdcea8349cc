//! A scenario as somebody wrote it: typed, every value with its place in the file.
//!
//! Owns the language of the fixtures (`fixtures/**/*.yaml`) and its mistakes of form. Refuses to know whether names mean
//! anything: `lint` does. The engine runs what passed both.

mod ack;
mod faults;
mod mistakes;
mod parse;
mod people;
mod problem;
mod request;
mod rules;
mod schema;
mod seen;
mod shared;
mod spanned;
mod stack;
mod steps;
mod text;
mod time;
mod token;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use rules::{InvariantName, RuleName};

pub use ack::AckWanted;
pub use faults::{Crash, CrashHow, EndHow, Network, NetworkState, Stop};
pub use mistakes::mistakes;
pub use parse::parse;
pub use people::{Actor, Client, DEVICES_MAX, Device, Transport, Who};
pub use problem::{Place, Problem, closest};
pub use request::{Port, Request};
pub use rules::{INVARIANTS, RULES};
pub use schema::{schema, values, verbs};
pub use seen::{Deliver, Expect, Never};
pub use shared::load_shared;
pub use spanned::Spanned;
pub use stack::{Backends, Ping, Pings, Stack};
pub use steps::{Connect, Join, Parallel, Publish, Raw, Repeat, Send, Step, Use, Wait, WaitFor};
pub(crate) use text::names_in;
pub use text::{Generator, Text};
pub use time::{Time, TimeNames};
pub use token::{Token, TokenPlace};

/// The language on one page, every step in it an example.
pub const LANGUAGE: &str = include_str!("language.txt");

/// A scenario: people, their devices, and what happens to them. One file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, as a sentence.
    pub scenario: Spanned<String>,
    /// For `--tag`.
    #[serde(default)]
    pub tags: Vec<Spanned<String>>,
    /// The rule of the contract that it proves.
    #[schemars(with = "Option<RuleName>")]
    pub spec: Option<Spanned<String>>,
    /// What it runs against.
    #[serde(default)]
    pub stack: Stack,
    /// People and their devices.
    #[schemars(transform = schema::names)]
    pub actors: BTreeMap<String, Spanned<Actor>>,
    /// Who is a member of which room at the start. Without it every room that is spoken of has everybody.
    #[serde(default)]
    #[schemars(transform = schema::names)]
    pub rooms: BTreeMap<String, Spanned<Vec<Spanned<String>>>>,
    /// What happens, one step after the other.
    pub steps: Vec<Spanned<Step>>,
    /// Invariants to leave unjudged, by name, for a scenario that breaks one on purpose.
    #[serde(default)]
    #[schemars(with = "Vec<InvariantName>")]
    pub without: Vec<Spanned<String>>,
    /// What is kept for review.
    pub snapshot: Option<Spanned<Snapshot>>,
}

impl Scenario {
    /// Every device uses this client library from now on, whatever the file says; but for those of which a step or the
    /// device itself wants what only our own can.
    pub fn use_client(&mut self, client: Client) {
        let mut writing = BTreeSet::new();
        writing_frames(&self.steps, &mut writing);
        for (actor, devices) in &mut self.actors {
            for (name, device) in &mut devices.value {
                if device.value.pongs && !writing.contains(&format!("{actor}.{name}")) {
                    device.value.client = client;
                }
            }
        }
    }
}

/// The devices that write frames as they are.
fn writing_frames(steps: &[Spanned<Step>], devices: &mut BTreeSet<String>) {
    for step in steps {
        if let Step::Raw(raw) = &step.value {
            devices.insert(raw.device.value.clone());
        }
        for block in step.value.blocks() {
            writing_frames(block, devices);
        }
    }
}

/// What is kept for review.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Which transcripts are kept.
    pub transcript: Option<TranscriptKind>,
    /// Which state of Redis is kept.
    pub redis: Option<RedisKind>,
}

/// Which transcripts a snapshot holds.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum TranscriptKind {
    /// One for each device.
    PerDevice,
}

/// Which state of Redis a snapshot holds.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum RedisKind {
    /// That at the end of the run.
    Final,
}

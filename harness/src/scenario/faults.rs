//! What a scenario can break: devices, networks, processes.

use serde::Deserialize;

use super::{Spanned, Time};

/// A device ends without a word.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    pub device: Spanned<String>,
    pub how: CrashHow,
}

/// How a device crashes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum CrashHow {
    /// The connection is reset.
    Rst,
    /// The connection is closed, without a packet.
    Fin,
    /// It keeps the connection and neither reads nor writes.
    Freeze,
    /// Nothing gets through any more, and nobody is told.
    Blackhole,
}

/// Changes the network of a device.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub device: Spanned<String>,
    pub state: NetworkState,
    /// With `slow`: how late every byte comes.
    pub delay: Option<Spanned<Time>>,
}

/// What a network does.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum NetworkState {
    Cut,
    Slow,
    Resume,
}

/// Ends a process: `gw1`, `worker1`, `kafka`, `redis`, `postgres`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    pub what: Spanned<String>,
    #[serde(default)]
    pub how: EndHow,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum EndHow {
    /// SIGKILL.
    Kill,
    /// SIGTERM: it drains.
    #[default]
    Term,
}

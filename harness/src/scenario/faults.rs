//! What a scenario can break: devices, networks, processes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Spanned, Time, schema::PROCESSES};

/// A device ends without a word.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// The device, such as `alice.phone`.
    pub device: Spanned<String>,
    /// How it crashes.
    pub how: CrashHow,
}

/// How a device crashes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The device, such as `alice.phone`.
    pub device: Spanned<String>,
    /// What its network does from now on.
    pub state: NetworkState,
    /// With `slow`: how late every byte comes.
    pub delay: Option<Spanned<Time>>,
}

/// What a network does.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkState {
    /// Its connections are reset, and new ones at once: it must connect again after `resume`.
    Cut,
    /// Every byte comes late, by `delay`.
    Slow,
    /// Everything gets through again; what was cut is not connected by itself.
    Resume,
}

/// Ends a process: `gw1`, `worker1`, `kafka`, `redis`, `postgres`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The process; for `rolling_restart`: `gateways` or `workers`.
    #[schemars(extend("examples" = PROCESSES))]
    pub what: Spanned<String>,
    /// How it ends; `term` without.
    #[serde(default)]
    pub how: EndHow,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndHow {
    /// SIGKILL.
    Kill,
    /// SIGTERM: it drains.
    #[default]
    Term,
    /// SIGSTOP, as with `freeze`: it is there and does nothing. `stop` only.
    Freeze,
}

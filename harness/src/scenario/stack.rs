//! What a scenario runs against.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Spanned, Time,
    schema::{self, Scalar},
};

/// The gateways, workers and times that a scenario asks for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stack {
    /// How many gateways run, `gw1` and so on; 1 without.
    pub gateways: Spanned<usize>,
    /// How many workers run, `worker1` and so on; 1 without.
    pub workers: Spanned<usize>,
    /// Which backends it needs; `any` without.
    pub backends: Backends,
    /// How often a device sends `heartbeat` by itself; not at all without.
    pub heartbeat: Option<Spanned<Time>>,
    /// How often a gateway pings, and how long it waits; its own defaults without.
    pub ping: Option<Ping>,
    /// After which a user without a heartbeat is offline; whole seconds.
    pub presence_ttl: Option<Spanned<Time>>,
    /// After which a crashed gateway's sockets stop counting.
    pub lease: Option<Spanned<Time>>,
    /// Further settings of the gateway, by their names in its environment.
    #[schemars(with = "BTreeMap<String, Scalar>", transform = schema::settings)]
    pub settings: BTreeMap<String, Spanned<String>>,
}

/// How often a gateway pings, and how long it waits for the answer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// From one ping to the next.
    pub interval: Spanned<Time>,
    /// How long a gateway waits for the answer.
    pub timeout: Spanned<Time>,
}

/// Which backends a scenario needs.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Backends {
    /// Runs on either.
    #[default]
    Any,
    /// Kafka, Redis and Postgres.
    Real,
    /// One process without any server.
    Embedded,
}

impl Default for Stack {
    fn default() -> Self {
        Self {
            gateways: Spanned::nowhere(1),
            workers: Spanned::nowhere(1),
            backends: Backends::default(),
            heartbeat: None,
            ping: None,
            presence_ttl: None,
            lease: None,
            settings: BTreeMap::new(),
        }
    }
}

//! What a scenario runs against.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Spanned, Time};

/// The gateways, workers and times that a scenario asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stack {
    pub gateways: Spanned<usize>,
    pub workers: Spanned<usize>,
    pub backends: Backends,
    /// How often a device sends `heartbeat` by itself; not at all without.
    pub heartbeat: Option<Spanned<Time>>,
    pub ping: Option<Ping>,
    /// After which a user without a heartbeat is offline; whole seconds.
    pub presence_ttl: Option<Spanned<Time>>,
    /// After which a crashed gateway's sockets stop counting.
    pub lease: Option<Spanned<Time>>,
    /// Further settings of the gateway, by their names in its environment.
    pub settings: BTreeMap<String, Spanned<String>>,
}

/// How often a gateway pings, and how long it waits for the answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    pub interval: Spanned<Time>,
    pub timeout: Spanned<Time>,
}

/// Which backends a scenario needs.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
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
        let unsaid = |value| {
            let nowhere = serde_saphyr::Location::UNKNOWN;
            Spanned::new(value, nowhere, nowhere)
        };
        Self {
            gateways: unsaid(1),
            workers: unsaid(1),
            backends: Backends::default(),
            heartbeat: None,
            ping: None,
            presence_ttl: None,
            lease: None,
            settings: BTreeMap::new(),
        }
    }
}

//! What a scenario runs against.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Spanned, Time, TimeNames,
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
    /// After which a crashed gateway's sockets stop counting; 15 s without, or `presence_ttl` if that is shorter.
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

/// How a gateway pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pings {
    /// From one ping to the next.
    pub interval: Duration,
    /// How long it waits for the answer.
    pub timeout: Duration,
}

/// The gateway's defaults of the times that scenarios can name.
const PING_INTERVAL: Duration = Duration::from_secs(25);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const PRESENCE_TTL: Duration = Duration::from_mins(1);
const LEASE: Duration = Duration::from_secs(15);

impl Stack {
    /// The values of the names that a scenario's times may use.
    pub fn times(&self) -> TimeNames {
        let or = |time: &Option<Spanned<Time>>, default| {
            time.as_ref().map_or(default, |time| time.value.fixed())
        };
        let seconds = |name: &str| {
            let value = self.settings.get(name)?;
            value.value.parse().ok().map(Duration::from_secs)
        };
        let Pings { interval, timeout } = self.pings();
        let ttl = seconds("PRESENCE_TTL_S").unwrap_or_else(|| or(&self.presence_ttl, PRESENCE_TTL));
        TimeNames {
            ttl,
            heartbeat: or(&self.heartbeat, Duration::ZERO),
            ping: interval + timeout,
            // No lease is longer than the TTL, which may be all that a scenario speaks of.
            lease: self
                .setting("PRESENCE_LEASE_MS")
                .unwrap_or_else(|| or(&self.lease, LEASE.min(ttl))),
        }
    }

    /// How its gateways ping.
    pub fn pings(&self) -> Pings {
        let ping = self.ping.as_ref();
        let interval = ping.map_or(PING_INTERVAL, |ping| ping.interval.value.fixed());
        let timeout = ping.map_or(PING_TIMEOUT, |ping| ping.timeout.value.fixed());
        Pings {
            interval: self.setting("PING_INTERVAL_MS").unwrap_or(interval),
            timeout: self.setting("PING_TIMEOUT_MS").unwrap_or(timeout),
        }
    }

    /// A setting in milliseconds that is named itself, which is the last word.
    fn setting(&self, name: &str) -> Option<Duration> {
        self.settings.get(name)?.value.parse().ok().map(Duration::from_millis)
    }
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

//! The shape of a deployment: scenarios of the same shape can share one.

use std::{collections::BTreeMap, time::Duration};

use crate::scenario::{Stack, TimeNames};

/// How many processes, on which backends, with which settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// On Kafka, Redis and Postgres; otherwise one `standalone` process.
    pub is_real: bool,
    pub gateways: usize,
    pub workers: usize,
    /// Settings of the gateway beyond its defaults.
    pub settings: BTreeMap<String, String>,
}

/// The gateway's defaults of the times that scenarios can name.
const PING_INTERVAL: Duration = Duration::from_secs(25);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const PRESENCE_TTL: Duration = Duration::from_mins(1);
const LEASE: Duration = Duration::from_secs(15);

impl Shape {
    /// What a scenario asks for.
    pub fn of(stack: &Stack, is_real: bool) -> Self {
        let times = times_of(stack);
        let mut settings = BTreeMap::new();
        let milliseconds = |time: Duration| time.as_millis().to_string();
        if let Some(ping) = &stack.ping {
            let fixed = |time| milliseconds(fixed(time));
            settings.insert("PING_INTERVAL_MS".to_owned(), fixed(&ping.interval.value));
            settings.insert("PING_TIMEOUT_MS".to_owned(), fixed(&ping.timeout.value));
        }
        if stack.presence_ttl.is_some() {
            settings.insert("PRESENCE_TTL_S".to_owned(), times.ttl.as_secs().max(1).to_string());
        }
        if stack.lease.is_some() {
            settings.insert("PRESENCE_LEASE_MS".to_owned(), milliseconds(times.lease));
            // No call may outlive the lease.
            settings.insert("REDIS_TIMEOUT_MS".to_owned(), milliseconds(times.lease / 2));
        }
        for (name, value) in &stack.settings {
            settings.insert(name.clone(), value.value.clone());
        }
        let (gateways, workers) =
            if is_real { (stack.gateways.value, stack.workers.value) } else { (1, 0) };
        Self { is_real, gateways, workers, settings }
    }
}

/// The values of the names that a scenario's times may use.
pub fn times_of(stack: &Stack) -> TimeNames {
    let or = |time: &Option<crate::scenario::Spanned<crate::scenario::Time>>, default| {
        time.as_ref().map_or(default, |time| fixed(&time.value))
    };
    // A setting that is named itself is the last word, as in `Shape::of`.
    let setting = |name: &str| {
        let value = stack.settings.get(name)?;
        value.value.parse().ok().map(Duration::from_millis)
    };
    let ping = stack.ping.as_ref();
    let interval = ping.map_or(PING_INTERVAL, |ping| fixed(&ping.interval.value));
    let timeout = ping.map_or(PING_TIMEOUT, |ping| fixed(&ping.timeout.value));
    TimeNames {
        ttl: or(&stack.presence_ttl, PRESENCE_TTL),
        heartbeat: or(&stack.heartbeat, Duration::ZERO),
        ping: setting("PING_INTERVAL_MS").unwrap_or(interval)
            + setting("PING_TIMEOUT_MS").unwrap_or(timeout),
        lease: or(&stack.lease, LEASE),
    }
}

/// A time of the stack itself, which names no other ones.
fn fixed(time: &crate::scenario::Time) -> Duration {
    let nothing = Duration::ZERO;
    time.resolve(TimeNames { ttl: nothing, heartbeat: nothing, ping: nothing, lease: nothing })
}

//! The shape of a deployment: scenarios of the same shape can share one.

use std::{collections::BTreeMap, time::Duration};

use crate::scenario::Stack;

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

impl Shape {
    /// What a scenario asks for.
    pub fn of(stack: &Stack, is_real: bool) -> Self {
        let times = stack.times();
        let mut settings = BTreeMap::new();
        let milliseconds = |time: Duration| time.as_millis().to_string();
        if let Some(ping) = &stack.ping {
            settings
                .insert("PING_INTERVAL_MS".to_owned(), milliseconds(ping.interval.value.fixed()));
            settings.insert("PING_TIMEOUT_MS".to_owned(), milliseconds(ping.timeout.value.fixed()));
        }
        if stack.presence_ttl.is_some() {
            settings.insert("PRESENCE_TTL_S".to_owned(), times.ttl.as_secs().max(1).to_string());
        }
        if stack.lease.is_some() || stack.presence_ttl.is_some() {
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

//! What a scenario runs against: how many processes, and whether a gateway would start with such settings.

use std::time::Duration;

use super::Linter;
use crate::scenario::{Backends, Place, Spanned, Stack, Time, TimeNames, closest};

/// Most gateways and workers that a scenario may ask for.
pub(super) const PROCESSES_MAX: usize = 8;

/// What a gateway takes, as its own settings say: `PING_INTERVAL_MS` and `PING_TIMEOUT_MS`, `PRESENCE_TTL_S`,
/// `PRESENCE_LEASE_MS`.
const PING_MIN: Duration = Duration::from_millis(50);
const PING_MAX: Duration = Duration::from_mins(5);
const LEASE_MIN: Duration = Duration::from_millis(200);
const TTL_MIN: Duration = Duration::from_secs(1);

/// The settings of a gateway that a scenario may give, by their names in its environment: those that say neither where
/// its servers are nor who it is, for the harness says that.
pub const SETTINGS: &[&str] = &[
    "CLIENT_ADDRESS_HEADER",
    "CONNECTIONS_MAX",
    "CONNECT_TIMEOUT_MS",
    "CORS_ORIGINS",
    "DATABASE_CONNECTIONS_MAX",
    "DATABASE_TIMEOUT_MS",
    "DRAIN_CLOSE_MS",
    "DRAIN_LIMIT_MS",
    "HEADER_TIMEOUT_MS",
    "JWT_LEEWAY_MS",
    "KAFKA_LINGER_MS",
    "KAFKA_PARTITIONS",
    "KAFKA_PUBLISH_TIMEOUT_MS",
    "KAFKA_QUEUE_RECORDS_MAX",
    "KAFKA_SESSION_TIMEOUT_MS",
    "KAFKA_TOPIC_REFRESH_MS",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MAILBOX_EVENTS_MAX",
    "MEMBERSHIP_ENTRIES_MAX",
    "MEMBERSHIP_TTL_MS",
    "OUTBOX_AGE_MS",
    "PAYLOAD_BYTES_MAX",
    "PERSIST_BATCH_RECORDS_MAX",
    "PING_INTERVAL_MS",
    "PING_TIMEOUT_MS",
    "PRESENCE_LEASE_MS",
    "PRESENCE_TTL_S",
    "REDIS_TIMEOUT_MS",
    "SOCKET_QUEUE_PACKETS_MAX",
    "START_LIMIT_MS",
    "UPGRADE_TIMEOUT_MS",
];

/// How the names of settings end that are whole numbers.
const COUNTED: [&str; 4] = ["_MAX", "_MS", "_S", "_PARTITIONS"];

impl Linter<'_> {
    pub(super) fn stack(&mut self) {
        let stack = &self.scenario.stack;
        for (what, count, least) in
            [("gateways", &stack.gateways, 1), ("workers", &stack.workers, 0)]
        {
            if !(least..=PROCESSES_MAX).contains(&count.value) {
                let text = format!("`{what}` is {least} to {PROCESSES_MAX}, not {}", count.value);
                self.report(self.problem(count, text));
            }
        }
        if stack.backends == Backends::Embedded && stack.gateways.value > 1 {
            let text = "an embedded gateway is one process: it has no second one beside it";
            let problem = self.problem(&stack.gateways, text);
            self.report(problem.with_help("write `gateways: 1`, or `backends: real`"));
        }
        self.stack_times(stack);
        for (name, value) in &stack.settings {
            if !SETTINGS.contains(&name.as_str()) {
                let problem = self.problem(value, format!("`{name}` is no setting of a gateway"));
                let help = match closest(name, SETTINGS) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "`gateway check --explain` says what there is".to_owned(),
                };
                self.report(problem.with_help(help));
            } else if COUNTED.iter().any(|end| name.ends_with(end))
                && value.value.parse::<u64>().is_err()
            {
                let text = format!("`{name}` is a whole number, not `{}`", value.value);
                self.report(self.problem(value, text));
            }
        }
    }

    fn stack_times(&mut self, stack: &Stack) {
        let ping = stack.ping.iter().flat_map(|ping| [&ping.interval, &ping.timeout]);
        let times = [&stack.heartbeat, &stack.presence_ttl, &stack.lease].into_iter().flatten();
        let mut is_fixed = true;
        for time in ping.chain(times).collect::<Vec<_>>() {
            if let Some(name) = time.value.names().next() {
                let text = format!("the stack defines `${{{name}}}`, it cannot use it");
                self.report(self.problem(time, text));
                is_fixed = false;
            }
        }
        if !is_fixed {
            return;
        }
        for time in stack.ping.iter().flat_map(|ping| [&ping.interval, &ping.timeout]) {
            if !(PING_MIN..=PING_MAX).contains(&time.value.fixed()) {
                self.refuse(time, "a gateway pings every 50 ms to 5 min, and waits as long");
            }
        }
        if let Some(time) = stack.heartbeat.as_ref().filter(|time| time.value.fixed().is_zero()) {
            self.refuse(time, "a heartbeat needs some time to the next one");
        }
        if let Some(time) = stack.lease.as_ref().filter(|time| time.value.fixed() < LEASE_MIN) {
            self.refuse(time, "a lease is 200 ms or longer");
        }
        if let Some(time) = &stack.presence_ttl
            && (time.value.fixed() < TTL_MIN || time.value.fixed().subsec_nanos() != 0)
        {
            self.refuse(time, "`presence_ttl` is in whole seconds, one or more");
            return;
        }
        self.stack_times_together(stack);
    }

    /// The gateway's own rules about times that it is given or has by itself.
    fn stack_times_together(&mut self, stack: &Stack) {
        let TimeNames { ttl, ping, lease, .. } = stack.times();
        let place = |times: [Option<&Spanned<Time>>; 3]| {
            times.into_iter().flatten().next().map(Place::from)
        };
        let interval = stack.ping.as_ref().map(|ping| &ping.interval);
        let (presence, lasts) = (stack.presence_ttl.as_ref(), stack.lease.as_ref());
        if let Some(place) = place([presence, interval, None])
            && ping >= ttl
        {
            let text = format!(
                "no gateway starts so: ping interval and timeout, {} ms here, must stay below `presence_ttl`, {} ms here",
                ping.as_millis(),
                ttl.as_millis()
            );
            let help = "write both: `presence_ttl: 2s, ping: { interval: 200ms, timeout: 200ms }`";
            self.report(self.problem(place, text).with_help(help));
        }
        if let Some(place) = place([lasts, presence, None])
            && lease > ttl
        {
            let text = format!(
                "no gateway starts so: `lease`, {} ms here, must not be longer than `presence_ttl`, {} ms here",
                lease.as_millis(),
                ttl.as_millis()
            );
            let help = "write both: `presence_ttl: 2s, lease: 1s`";
            self.report(self.problem(place, text).with_help(help));
        }
    }

    fn refuse(&mut self, time: &Spanned<Time>, rule: &str) {
        let text = format!("no gateway starts with `{}` here: {rule}", time.value);
        self.report(self.problem(Place::from(time), text));
    }
}

//! Limits and times of sockets, HTTP, presence, the persistor and the life of the process, and how they must agree.

use std::time::Duration;

use http::HeaderName;

use super::{Config, PresenceChoice, Role, reader::Reader};

/// Longest a client waits for the ack of a message: what was not answered by then is refused.
pub const ACK_LIMIT: Duration = Duration::from_secs(10);

/// Kept of the drain limit for flushing, leaving and releasing once the sockets are closed.
pub const LAST_STEPS: Duration = Duration::from_secs(2);

/// A lease is renewed so many times while it would live.
pub const LEASE_RENEWALS: u32 = 3;

/// Limits of the Socket.IO side.
#[derive(Clone, Debug)]
pub struct Sockets {
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
    /// A transport without a namespace lives at most this long.
    pub connect_timeout: Duration,
    pub upgrade_timeout: Duration,
    /// Events of one socket that wait to be handled; above it the ack says `Rate limit exceeded`.
    pub mailbox_events_max: usize,
    /// Packets that wait to be written to one socket; above it the socket is closed.
    pub queue_packets_max: usize,
    /// Largest frame or long-polling body from a client.
    pub payload_bytes_max: usize,
    pub connections_max: usize,
    /// How long a membership is trusted without asking the database.
    pub membership_ttl: Duration,
    pub membership_entries_max: u64,
}

impl Sockets {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            ping_interval: r.milliseconds(
                "PING_INTERVAL_MS",
                25_000,
                50..=300_000,
                "how often a client is pinged",
            ),
            ping_timeout: r.milliseconds(
                "PING_TIMEOUT_MS",
                20_000,
                50..=300_000,
                "how long a client may take to answer a ping",
            ),
            connect_timeout: r.milliseconds(
                "CONNECT_TIMEOUT_MS",
                10_000,
                50..=300_000,
                "how long a transport may live without a namespace",
            ),
            upgrade_timeout: r.milliseconds(
                "UPGRADE_TIMEOUT_MS",
                10_000,
                50..=300_000,
                "how long the upgrade from polling to WebSocket may take",
            ),
            mailbox_events_max: r.number(
                "MAILBOX_EVENTS_MAX",
                "events",
                1_000,
                1..=1_000_000,
                "events of one socket that wait; above it: `Rate limit exceeded`",
            ),
            queue_packets_max: r.number(
                "SOCKET_QUEUE_PACKETS_MAX",
                "packets",
                16_384,
                16..=1_000_000,
                "packets that wait to be written to one socket; above it the socket is closed",
            ),
            payload_bytes_max: r.number(
                "PAYLOAD_BYTES_MAX",
                "bytes",
                100_000,
                35_000..=10_000_000,
                "largest frame, long-polling body or HTTP body from a client",
            ),
            connections_max: r.number(
                "CONNECTIONS_MAX",
                "connections",
                15_000,
                1..=1_000_000,
                "TCP connections at a time; above it: HTTP 503",
            ),
            membership_ttl: r.milliseconds(
                "MEMBERSHIP_TTL_MS",
                5_000,
                0..=60_000,
                "how long a membership is trusted without asking the database",
            ),
            membership_entries_max: r.number(
                "MEMBERSHIP_ENTRIES_MAX",
                "entries",
                100_000,
                0..=100_000_000,
                "memberships that are kept in memory",
            ),
        }
    }
}

/// Limits of the HTTP side.
#[derive(Clone, Debug)]
pub struct Http {
    /// Origins that browsers may come from; `None` in `dev`: any.
    pub cors_origins: Option<Vec<String>>,
    /// How long a client may take to send its request's header.
    pub header_timeout: Duration,
    /// Names the header with the client's address, behind a proxy.
    pub client_address_header: Option<HeaderName>,
}

impl Http {
    pub(super) fn read(r: &mut Reader, role: Role) -> Self {
        let origins = r.optional(
            "CORS_ORIGINS",
            "`https://app.example.org,https://…` for browsers on other origins; `*`: any; any in `dev`",
        );
        let cors_origins = match origins.as_deref() {
            None if role == Role::Dev => None,
            None => Some(Vec::new()),
            Some("*") => None,
            Some(list) => Some(origin_list(r, list)),
        };
        let client_address_header = r.optional(
            "CLIENT_ADDRESS_HEADER",
            "header with the client's address, behind a proxy, for example `Fly-Client-IP`",
        );
        let client_address_header = client_address_header.and_then(|name| {
            let header = HeaderName::from_bytes(name.as_bytes());
            if header.is_err() {
                r.problem("CLIENT_ADDRESS_HEADER", format!("`{name}` is not the name of a header"));
            }
            header.ok()
        });
        Self {
            cors_origins,
            client_address_header,
            header_timeout: r.milliseconds(
                "HEADER_TIMEOUT_MS",
                10_000,
                100..=300_000,
                "how long a client may take to send the header of its request, and how long it may pause in its body",
            ),
        }
    }
}

fn origin_list(r: &mut Reader, list: &str) -> Vec<String> {
    let origins: Vec<String> = list.split(',').map(|o| o.trim().to_owned()).collect();
    for origin in &origins {
        let is_origin = origin.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty() && !host.is_empty() && !host.contains('/')
        });
        if !is_origin || http::HeaderValue::from_str(origin).is_err() {
            r.problem(
                "CORS_ORIGINS",
                format!("`{origin}` is not an origin such as `https://app.example.org`"),
            );
        }
    }
    origins
}

/// Times of presence (contract, section 3).
#[derive(Clone, Debug)]
pub struct PresenceTimes {
    /// Whole seconds: the key's `EXPIRE`.
    pub ttl: Duration,
    pub lease: Duration,
}

impl PresenceTimes {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            ttl: Duration::from_secs(r.number(
                "PRESENCE_TTL_S",
                "s",
                60,
                1..=86_400,
                "after which a user without a heartbeat is offline",
            )),
            lease: r.milliseconds(
                "PRESENCE_LEASE_MS",
                15_000,
                200..=86_400_000,
                "after which a crashed gateway's sockets stop counting",
            ),
        }
    }
}

/// Limits of the worker.
#[derive(Clone, Debug)]
pub struct Persistor {
    pub batch_records_max: usize,
    /// How long a committed membership change may stay unpublished before a worker publishes it.
    pub outbox_age: Duration,
}

impl Persistor {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            batch_records_max: r.number(
                "PERSIST_BATCH_RECORDS_MAX",
                "records",
                500,
                1..=5_000,
                "messages stored in one transaction",
            ),
            outbox_age: r.milliseconds(
                "OUTBOX_AGE_MS",
                2_000,
                100..=600_000,
                "age at which a worker publishes a membership change that its gateway did not",
            ),
        }
    }
}

/// Limits of start and stop.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    /// How long Kafka and the database may take to be there at the start.
    pub start_limit: Duration,
    /// How long a stop may take in all.
    pub drain_limit: Duration,
    /// Within it: how long the sockets' closing is spread out.
    pub close_limit: Duration,
}

impl Lifecycle {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            start_limit: r.milliseconds(
                "START_LIMIT_MS",
                30_000,
                100..=600_000,
                "how long Kafka and the database may take to be reachable at the start",
            ),
            drain_limit: r.milliseconds(
                "DRAIN_LIMIT_MS",
                30_000,
                1_000..=600_000,
                "how long a stop may take in all; below the kill timeout of the platform",
            ),
            close_limit: r.milliseconds(
                "DRAIN_CLOSE_MS",
                10_000,
                0..=600_000,
                "how long the closing of sockets is spread out in a stop",
            ),
        }
    }
}

/// Refuses settings that contradict each other.
pub(super) fn cross_check(r: &mut Reader, config: &Config) {
    let Config { sockets, presence, lifecycle, backends, .. } = config;
    let ping = sockets.ping_interval + sockets.ping_timeout;
    if ping >= presence.ttl {
        let (ping, ttl) = (ping.as_millis(), presence.ttl.as_millis());
        r.problem(
            "PRESENCE_TTL_S",
            format!(
                "PING_INTERVAL_MS + PING_TIMEOUT_MS ({ping} ms) must stay below it ({ttl} ms), or a crashed client stays online for too long"
            ),
        );
    }
    if presence.lease > presence.ttl {
        r.problem("PRESENCE_LEASE_MS", "must not be longer than PRESENCE_TTL_S");
    }
    if config.role.serves_clients() {
        check_redis_timeout(r, config);
        check_drain(r, lifecycle);
    }
    if backends.kafka.publish_timeout + backends.database_timeout >= ACK_LIMIT {
        let limit = ACK_LIMIT.as_millis();
        r.problem(
            "KAFKA_PUBLISH_TIMEOUT_MS",
            format!("with DATABASE_TIMEOUT_MS it must stay below {limit} ms, the longest a client waits for an ack"),
        );
    }
}

/// One call that takes as long as it may must not cost every socket its presence.
fn check_redis_timeout(r: &mut Reader, Config { presence, backends, .. }: &Config) {
    let (timeout, renewal) = (backends.redis_timeout, presence.lease / LEASE_RENEWALS);
    if matches!(backends.presence, PresenceChoice::Redis { .. })
        && renewal + timeout >= presence.lease
    {
        let (timeout, lease) = (timeout.as_millis(), presence.lease.as_millis());
        r.problem(
            "REDIS_TIMEOUT_MS",
            format!("a call of {timeout} ms would outlive a lease of PRESENCE_LEASE_MS ({lease} ms), renewed after a third of it"),
        );
    }
}

/// What was taken just before a stop is answered before the sockets are closed, and something is left for the rest.
fn check_drain(r: &mut Reader, lifecycle: &Lifecycle) {
    let drain = ACK_LIMIT + lifecycle.close_limit + LAST_STEPS;
    if drain > lifecycle.drain_limit {
        let (acks, last) = (ACK_LIMIT.as_millis(), LAST_STEPS.as_millis());
        let (drain, limit) = (drain.as_millis(), lifecycle.drain_limit.as_millis());
        r.problem(
            "DRAIN_LIMIT_MS",
            format!("{acks} ms for the last acks + DRAIN_CLOSE_MS + {last} ms to flush and leave ({drain} ms) must fit into it ({limit} ms)"),
        );
    }
}

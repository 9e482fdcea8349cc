//! Words, limits and formats of the contract that more than one part of the harness needs. Written down here anew and not taken
//! from the gateway: a mistake there must not hide here.

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::{Uuid, Variant};

/// The topics: messages, persisted messages, memberships, dead letters.
pub const TOPICS: [&str; 4] = [
    "chat.messages.v1",
    "chat.messages.persisted.v1",
    "chat.memberships.v1",
    "chat.messages.dlq.v1",
];

/// Who joins and leaves a room.
pub const MEMBERSHIPS: &str = TOPICS[2];

/// Records that could not be read.
pub const DEAD_LETTERS: &str = TOPICS[3];

/// The errors of `joinRoom` and `leaveRoom`.
pub const ROOM_ERRORS: [&str; 4] =
    ["Invalid room", "Not a member of this room", "Temporarily unavailable", "Rate limit exceeded"];

/// The errors of `sendMessage`.
pub const MESSAGE_ERRORS: [&str; 4] = [
    "Invalid message format",
    "Not a member of this room",
    "Message delivery failed",
    "Rate limit exceeded",
];

/// Those of them after which a message is surely not stored: what became of one whose delivery failed is not known.
pub const REFUSALS: [&str; 3] =
    ["Invalid message format", "Not a member of this room", "Rate limit exceeded"];

/// Longest content of a message, in UTF-16 code units.
pub const CONTENT_UNITS_MAX: usize = 5_000;

/// Length of an id, in characters: only the hyphenated form is one.
const ID_CHARS: usize = 36;

/// Whether this is an id: a UUID with its hyphens, in any letter case.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && Uuid::try_parse(text).is_ok()
}

/// Whether this is the id of a message: a UUIDv7.
pub fn is_message_id(text: &str) -> bool {
    let id = Uuid::try_parse(text).ok().filter(|_| is_id(text));
    id.is_some_and(|id| id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122)
}

/// An origin that nobody has allowed to read anything. The harness asks its own gateways in its name.
pub const FOREIGN_ORIGIN: &str = "https://elsewhere.example";

/// How far another machine's clock may be from ours, in milliseconds. The contract does not say; two minutes are no mistake.
pub const SKEW_MS: i64 = 120_000;

/// The same on this machine: one clock, which may be set while it runs.
pub const OWN_SKEW_MS: i64 = 5_000;

/// Before the id of a user in the key of their presence.
pub const PRESENCE_KEY: &str = "presence:user:";

/// Before the id of a gateway in the key of its lease.
pub const LEASE_KEY: &str = "presence:server:";

/// The milliseconds since 1970 of a time: RFC 3339 with a fraction and `Z`. `None`: it is none, or there is no such day.
pub fn milliseconds_of(text: &str) -> Option<i64> {
    let (_, fraction) = text.strip_suffix('Z')?.split_once('.')?;
    let has_fraction = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    let time = OffsetDateTime::parse(text, &Rfc3339).ok().filter(|_| has_fraction)?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Whether this is the `createdAt` of a message: with milliseconds, neither more nor fewer digits.
pub fn is_message_time(text: &str) -> bool {
    text.len() == "2026-01-31T12:00:00.000Z".len() && milliseconds_of(text).is_some()
}

/// Below this the TTL of a key was not refreshed to this length: half of it, since a lease is renewed after a third. A user's
/// was just refreshed by somebody: a tenth of it may be over, or two seconds.
pub(crate) fn least_ttl(key: &str, at_most: Duration) -> Duration {
    if !key.starts_with(PRESENCE_KEY) {
        return at_most / 2;
    }
    (at_most / 2).max(at_most.saturating_sub((at_most / 10).max(Duration::from_secs(2))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_fraction_and_a_day_that_exists() {
        assert_eq!(milliseconds_of("1970-01-01T00:00:01.002Z"), Some(1_002));
        for text in [
            "2026-13-45T25:61:61.000Z",
            "2026-02-30T00:00:00.000Z",
            "2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.000+01:00",
            "soon",
            "",
        ] {
            assert_eq!(milliseconds_of(text), None, "{text}");
        }
    }
}

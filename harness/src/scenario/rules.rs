//! The rules of the contract, by the names that `spec` uses, and the invariants that are always judged.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::schema::one_of;

/// What a scenario can prove: name and sentence.
pub const RULES: &[(&str, &str)] = &[
    ("connect-good-token", "a good token connects, from `auth.token` or the header"),
    ("connect-bad-token", "a bad token is connected and disconnected at once"),
    ("connect-namespace", "the namespace is `/`, and there is no other"),
    ("connect-timeout", "a transport without a namespace is closed after the connect timeout"),
    ("connect-transports", "WebSocket, polling and the upgrade carry the same"),
    ("connect-temporary-refusal", "a temporary refusal is HTTP 503 before the upgrade"),
    ("ack-always", "every known event is acknowledged, whatever its payload was"),
    ("ack-error-texts", "errors have the contract's exact texts"),
    ("ack-echoes-id", "`clientMsgId` is echoed exactly as sent"),
    ("ids-any-letter-case", "ids are read in any letter case"),
    ("content-limits", "content has 1 to 5000 UTF-16 code units and no NUL"),
    ("unknown-events-ignored", "unknown events are ignored"),
    ("join-needs-membership", "`joinRoom` needs membership"),
    ("send-needs-membership", "`sendMessage` needs membership, not a prior `joinRoom`"),
    ("accepted-is-kept", "what is ACCEPTED is never lost"),
    ("accepted-before-stored", "ACCEPTED comes once the broker has it, before it is stored"),
    ("refused-at-most-once", "what was refused is stored once or not at all"),
    ("retry-once", "a retry is stored once, delivered once, accepted each time"),
    ("order-of-a-socket", "messages of one socket to one room keep their order"),
    ("order-of-a-room", "every socket hears a room in the same order"),
    ("deliver-to-all", "every socket in the room gets each message, the sender's included"),
    ("deliver-once", "each socket gets each message once"),
    ("no-leak", "who is not in the room hears nothing"),
    ("message-shape", "`newMessage` has exactly seven fields"),
    ("leave-stops-delivery", "who leaves hears nothing more"),
    (
        "removed-within-a-second",
        "a removed member's sockets leave the room everywhere within a second",
    ),
    ("rejoin-is-kept", "who has joined again is not thrown out by a late record"),
    ("http-rooms", "rooms over HTTP: statuses and bodies"),
    ("http-history", "the history: ascending pages, cursors, limits"),
    ("http-unauthorised", "without a good token nothing is told over HTTP"),
    (
        "http-probes",
        "probes answer without a token, and operators' pages are on the admin port alone",
    ),
    ("presence-shape", "the Redis hash: key, field, value, TTL"),
    ("presence-any-device", "a user is online while one of their sockets is"),
    ("presence-disconnect", "a disconnect removes its own entry alone"),
    ("presence-heartbeat", "a heartbeat refreshes presence, and registers again what expired"),
    ("presence-crashed-client", "a crashed client is offline within the TTL"),
    ("presence-crashed-gateway", "a crashed gateway's sockets stop counting with its lease"),
    ("presence-never-blocks", "Redis down never delays or fails a message or a connection"),
    ("presence-heals", "presence heals when Redis comes back"),
    ("outage-waited-out", "an outage of a backend is waited out, nothing accepted is lost"),
    ("drain", "a stopping gateway answers what it took and closes transports"),
    ("records", "the records of the topics: key, fields, partition"),
    ("dead-letters", "a record that cannot be stored goes to the dead letters"),
];

/// What is judged at the end of every scenario unless it says `without`: name and sentence.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("nothing-lost", "every accepted message is stored, and delivered to who was there for it"),
    ("no-duplicate", "no connection hears a message twice"),
    (
        "one-order",
        "every connection hears a room in the same order, and each sender's messages as sent",
    ),
    ("one-ack", "every event that asked for an ack has exactly one, in the contract's shape"),
    ("frames", "every frame is as the contract says: fields, formats, ids"),
    (
        "as-sent",
        "a message is everywhere what its sender sent: words, sender, room, the same seven fields",
    ),
    ("replies", "every reply over HTTP is as the contract says: status, fields, formats"),
    ("stays-connected", "no connection ends unless its device, a bad token or a fault ends it"),
    ("keeps-running", "no gateway and no worker ends unless a step ends it"),
    ("no-leak", "nobody hears a room that they are not in"),
    ("presence", "presence is true within its bounds, and no entry outlives its owner"),
];

/// In the schema: the name of a rule.
pub(super) struct RuleName;

impl JsonSchema for RuleName {
    fn schema_name() -> Cow<'static, str> {
        "RuleName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        one_of(RULES)
    }
}

/// In the schema: the name of an invariant.
pub(super) struct InvariantName;

impl JsonSchema for InvariantName {
    fn schema_name() -> Cow<'static, str> {
        "InvariantName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        one_of(INVARIANTS)
    }
}

//! Words and limits of the contract that more than one part of the harness needs. Written down here anew and not taken
//! from the gateway: a mistake there must not hide here.

/// The topics: messages, persisted messages, memberships, dead letters.
pub const TOPICS: [&str; 4] = [
    "chat.messages.v1",
    "chat.messages.persisted.v1",
    "chat.memberships.v1",
    "chat.messages.dlq.v1",
];

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

//! What there is to touch. Taken from the language wherever it has a list.

use crate::scenario::{RULES, schema, values, verbs};

/// Events of the contract.
const EVENTS: [&str; 5] = ["joinRoom", "leaveRoom", "sendMessage", "heartbeat", "newMessage"];

/// Calls of the contract.
const CALLS: [&str; 11] = [
    "GET /rooms",
    "POST /rooms",
    "POST /rooms/:id/join",
    "POST /rooms/:id/leave",
    "GET /rooms/:id/members",
    "GET /rooms/:id/messages",
    "GET /users/:id/presence",
    "GET /livez",
    "GET /readyz",
    "GET /health",
    "GET /metrics",
];

/// Statuses of the contract.
const STATUSES: [&str; 9] = ["200", "201", "204", "400", "401", "403", "404", "409", "503"];

/// What can be broken.
const TARGETS: [&str; 6] = ["device", "gateway", "worker", "kafka", "redis", "postgres"];

/// The sections in their order, and what is known of each.
pub(super) fn sections() -> Vec<(&'static str, Vec<String>)> {
    let names = |list: &[(&str, &str)]| list.iter().map(|(name, _)| (*name).to_owned()).collect();
    let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    vec![
        ("rules", names(RULES)),
        ("steps", verbs()),
        ("events", owned(&EVENTS)),
        ("acks", acks()),
        ("HTTP calls", owned(&CALLS)),
        ("HTTP statuses", owned(&STATUSES)),
        ("faults", faults()),
        ("fault targets", owned(&TARGETS)),
        ("transports", values("Transport")),
        ("drivers", values("Client")),
        ("tokens", values("Token")),
        ("places of tokens", values("TokenPlace")),
        ("waits", values("WaitFor")),
        ("looked at", owned(&["presence", "redis", "history", "stored", "topic"])),
        // That none is left out is no gap.
        ("invariants left out", Vec::new()),
    ]
}

/// The words, then the contract's errors.
fn acks() -> Vec<String> {
    let ways = &schema()["$defs"]["AckWanted"]["anyOf"];
    let texts = [&ways[0]["enum"], &ways[1]["examples"]];
    let texts = texts.into_iter().filter_map(|list| list.as_array()).flatten();
    texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn faults() -> Vec<String> {
    let mut faults = Vec::new();
    for (verb, ways) in [
        ("crash", "CrashHow"),
        ("network", "NetworkState"),
        ("stop", "EndHow"),
        ("restart", "EndHow"),
        ("rolling_restart", "EndHow"),
    ] {
        let ways = values(ways).into_iter();
        // What only froze does not start again.
        let ways = ways.filter(|how| how != "freeze" || !verb.ends_with("restart"));
        faults.extend(ways.map(|how| format!("{verb}: {how}")));
    }
    faults.extend(["start", "freeze", "thaw"].map(str::to_owned));
    faults
}

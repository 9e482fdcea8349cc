//! The history of a room, read over HTTP as a member reads it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::world::World;

/// Longest page of a history.
const PAGE_MESSAGES: usize = 100;

/// What came of reading a room's whole history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Messages(Vec<Value>),
    /// None of those who asked is a member: the last answer.
    Closed(String),
    /// Why a member could not.
    Failed(String),
}

/// Asks those of the scenario one after the other.
pub(super) async fn read(world: &World, room: &str) -> Reading {
    let mut closed = "it has no members".to_owned();
    for (_, user) in world.actors() {
        match pages(world, user, room).await {
            Ok(messages) => return Reading::Messages(messages),
            Err((403 | 404, reason)) => closed = reason,
            Err((_, reason)) => return Reading::Failed(reason),
        }
    }
    Reading::Closed(closed)
}

/// The same after the last step: where nobody is a member any more, somebody new joins and reads.
pub(super) async fn read_at_last(world: &World, room: &str) -> Reading {
    let reading = read(world, room).await;
    if !matches!(reading, Reading::Closed(_)) {
        return reading;
    }
    let reader = world.reader();
    // Whoever has joined already is told so.
    drop(world.call(reader, "POST", &format!("/rooms/{room}/join"), None, None).await);
    pages(world, reader, room).await.map_or(reading, Reading::Messages)
}

/// All pages, one after the other; the status and the words of an answer that is none.
async fn pages(world: &World, user: &str, room: &str) -> Result<Vec<Value>, (u16, String)> {
    let mut all: Vec<Value> = Vec::new();
    let mut known = BTreeSet::new();
    loop {
        let after = all.last().and_then(|message| message["messageId"].as_str());
        let after = after.unwrap_or("00000000-0000-7000-8000-000000000000");
        let path = format!("/rooms/{room}/messages?limit={PAGE_MESSAGES}&after={after}");
        let page = match world.call(user, "GET", &path, None, None).await {
            Ok((200, Value::Array(page))) => page,
            Ok((status, body)) => return Err((status, format!("{status} {body}"))),
            Err(reason) => return Err((0, reason)),
        };
        let is_last = page.len() < PAGE_MESSAGES;
        // A history that begins again would be read for ever.
        let is_new = page.iter().all(|message| known.insert(message["messageId"].to_string()));
        all.extend(page);
        if is_last || !is_new {
            return Ok(all);
        }
    }
}

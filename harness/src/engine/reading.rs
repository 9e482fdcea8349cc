//! The history of a room, read over HTTP as a member reads it.

use serde_json::Value;
use uuid::Uuid;

use super::world::World;

/// Longest page of a history.
const PAGE_MESSAGES: usize = 100;

/// What came of reading a room's whole history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Messages(Vec<Value>),
    /// Why nobody could: the last answer.
    Failed(String),
}

/// Asks those of the scenario one after the other; where none of them is a member, somebody new joins and reads.
pub(super) async fn read(world: &World, room: &str) -> Reading {
    let mut failed = "it has no members".to_owned();
    for (_, user) in world.actors() {
        match pages(world, user, room).await {
            Ok(messages) => return Reading::Messages(messages),
            Err((403 | 404, reason)) => failed = reason,
            Err((_, reason)) => return Reading::Failed(reason),
        }
    }
    let reader = Uuid::new_v4().to_string();
    world.recorder.call(&reader, "the harness");
    match world.call(&reader, "POST", &format!("/rooms/{room}/join"), None, None).await {
        Ok((200..300, _)) => match pages(world, &reader, room).await {
            Ok(messages) => Reading::Messages(messages),
            Err((_, reason)) => Reading::Failed(reason),
        },
        Ok(_) | Err(_) => Reading::Failed(failed),
    }
}

/// All pages, one after the other; the status and the words of an answer that is none.
async fn pages(world: &World, user: &str, room: &str) -> Result<Vec<Value>, (u16, String)> {
    let mut all: Vec<Value> = Vec::new();
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
        // A page that repeats what was there would be read for ever.
        let is_further = page.last().is_none_or(|it| all.last().is_none_or(|last| last != it));
        all.extend(page);
        if is_last || !is_further {
            return Ok(all);
        }
    }
}

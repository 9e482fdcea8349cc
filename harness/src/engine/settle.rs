//! After the last step: mends what the scenario broke, waits until nothing moves any more, reads what was stored.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{EngineError, world::World};
use crate::history::{Story, What};

/// How long everything that was accepted may take to be stored and delivered.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// The same after a step has failed: what is missing then is judged as missing.
const FAILED_LIMIT: Duration = Duration::from_secs(3);

/// What comes so soon after a failed step belongs to its story: a gateway that has noticed, a late frame.
const AFTERMATH: Duration = Duration::from_millis(250);

/// How often we look.
const POLL: Duration = Duration::from_millis(25);

/// Longest page of a history.
const PAGE_MESSAGES: usize = 100;

pub(super) async fn settle(world: &World, is_done: bool) -> Result<(), EngineError> {
    if !is_done {
        sleep(AFTERMATH).await;
    }
    mend(world).await?;
    let limit = if is_done { SETTLE_LIMIT } else { FAILED_LIMIT };
    let deadline = Instant::now() + limit;
    for (_, room) in world.rooms() {
        let stored = stored(world, &room, deadline).await;
        if let Some(messages) = stored {
            world.recorder.push(What::Stored { room, messages });
        }
    }
    let all_heard = |story: &Story| is_all_heard(story).then_some(());
    world.recorder.until(deadline, all_heard).await;
    Ok(())
}

/// Devices stay as they are; processes run again, or nothing could be judged.
async fn mend(world: &World) -> Result<(), EngineError> {
    let broken: Vec<String> =
        world.all_broken().into_iter().filter(|what| !what.contains('.')).collect();
    let Some(deployment) = world.site.deployment.as_deref().filter(|_| !broken.is_empty()) else {
        return Ok(());
    };
    let services: Vec<&str> = broken
        .iter()
        .map(String::as_str)
        .filter(|what| ["kafka", "redis", "postgres"].contains(what))
        .collect();
    deployment.mend(&services).await.map_err(|error| EngineError::Mend(error.to_string()))?;
    for what in broken {
        world.mended(&what, format!("{what} works again, after the last step"));
    }
    Ok(())
}

/// A room's whole history, once everything that was accepted is in it, or the deadline.
async fn stored(world: &World, room: &str, deadline: Instant) -> Option<Vec<Value>> {
    let accepted = |story: &Story| -> BTreeSet<String> {
        let sent = story.sent.iter().filter(|sent| {
            sent.event == "sendMessage"
                && sent.is_accepted()
                && sent.id("roomId").as_deref() == Some(room)
        });
        sent.filter_map(|sent| sent.id("clientMsgId")).collect()
    };
    let accepted = world.recorder.look(accepted);
    loop {
        let read = history(world, room).await;
        let is_over = Instant::now() >= deadline;
        if let Some(messages) = read {
            let ids: BTreeSet<String> = messages
                .iter()
                .filter_map(|message| message["clientMsgId"].as_str().map(str::to_lowercase))
                .collect();
            if accepted.is_subset(&ids) || is_over {
                return Some(messages);
            }
        } else if is_over {
            return None;
        }
        sleep(POLL).await;
    }
}

/// A room's whole history as a member reads it over HTTP; `None` if nobody can.
pub(super) async fn history(world: &World, room: &str) -> Option<Vec<Value>> {
    for (_, user) in world.actors() {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().and_then(|message| message["messageId"].as_str());
            let after = after.unwrap_or("00000000-0000-7000-8000-000000000000");
            let path = format!("/rooms/{room}/messages?limit={PAGE_MESSAGES}&after={after}");
            let Ok((200, Value::Array(page))) = world.call(user, "GET", &path, None, None).await
            else {
                break;
            };
            let is_last = page.len() < PAGE_MESSAGES;
            all.extend(page);
            if is_last {
                return Some(all);
            }
        }
    }
    None
}

/// Whether every connection that is in a room has heard what was stored there since it joined.
fn is_all_heard(story: &Story) -> bool {
    let heard: BTreeSet<_> = story
        .deliveries
        .iter()
        .map(|delivery| (delivery.connection, delivery.id("messageId")))
        .collect();
    let inside = story.inside.iter().filter(|inside| inside.leaving.is_none());
    inside.into_iter().all(|inside| {
        let sent_since: BTreeSet<_> = story
            .sent
            .iter()
            .filter(|sent| sent.at > inside.joined)
            .filter_map(|sent| sent.id("clientMsgId"))
            .collect();
        let stored = story.stored.get(&inside.room).into_iter().flatten();
        stored
            .filter(|message| {
                let id = message["clientMsgId"].as_str().unwrap_or_default().to_lowercase();
                sent_since.contains(&id)
            })
            .all(|message| {
                let id = message["messageId"].as_str().unwrap_or_default().to_lowercase();
                heard.contains(&(inside.connection, id))
            })
    })
}

//! After the last step: mends what the scenario broke, waits until nothing moves any more, reads what was stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    EngineError, observe,
    reading::{Reading, read_at_last},
    world::World,
};
use crate::{
    contract::PRESENCE_KEY,
    deploy::DeployError,
    history::{ConnectionId, Story, What},
};

/// How long everything that was accepted may take to be stored and delivered.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// The same after a step has failed: what is missing then is judged as missing.
const FAILED_LIMIT: Duration = Duration::from_secs(3);

/// How long a connection may take to go over to a WebSocket.
const UPGRADE_LIMIT: Duration = Duration::from_secs(3);

/// Longest wait for an ack: a bit more than `check` allows.
const ACK_LIMIT: Duration = Duration::from_millis(11_500);

/// What comes so soon after a failed step belongs to its story: a gateway that has noticed, a late frame.
const AFTERMATH: Duration = Duration::from_millis(250);

/// How often we look.
const POLL: Duration = Duration::from_millis(25);

/// Nothing moves any more when nothing has come for so long: a second delivery, a leak or a second ack follows the first
/// one within milliseconds.
const QUIET: Duration = Duration::from_millis(200);

/// Lets the story of a failed step go on a little.
pub(super) async fn aftermath() {
    sleep(AFTERMATH).await;
}

/// `is_done`: every step was true.
pub(super) async fn settle(world: &World, is_done: bool) {
    let deadline = Instant::now() + if is_done { SETTLE_LIMIT } else { FAILED_LIMIT };
    let answered = |story: &Story| is_all_answered(story, world).then_some(());
    world.recorder.until(deadline.min(Instant::now() + ACK_LIMIT), answered).await;
    note_who_still_polls(world).await;
    let mut readings: BTreeMap<String, Reading> = BTreeMap::new();
    loop {
        let is_over = Instant::now() >= deadline;
        read_all(world, &mut readings, deadline).await;
        let heard = |story: &Story| is_all_heard(story).then_some(());
        let is_heard = world.recorder.until(deadline, heard).await.is_some();
        quiet(world, deadline).await;
        // What came meanwhile may be stored, too.
        let is_complete = world.rooms().iter().all(|(_, room)| is_complete(world, room, &readings));
        if is_over || (is_heard && is_complete) {
            break;
        }
    }
    // Once more, last of all: what was stored twice shows now.
    for (_, room) in world.rooms() {
        let reading = read_at_last(world, &room).await;
        keep(world, &room, reading, &mut readings);
    }
    note_deaths(world).await;
    // Where they can be reached: a gateway of somebody else may keep its messages in another way.
    if let Ok(rows) = observe::rows(world).await {
        world.recorder.push(What::Rows { rows });
    }
    for (_, user) in world.actors() {
        let key = observe::redis_key(world, &format!("{PRESENCE_KEY}{user}")).await;
        if let Some(key) = key.ok().filter(|key| key.exists) {
            let ttl = key.ttl.and_then(|ttl| i64::try_from(ttl.as_millis()).ok());
            world.recorder.push(What::Kept {
                user: user.to_owned(),
                ttl_ms: ttl.unwrap_or(-1),
                fields: key.fields.into_iter().collect(),
            });
        }
    }
}

/// Devices stay as they are; processes run again, or nothing could be judged.
pub(super) async fn mend(world: &World) -> Result<(), EngineError> {
    note_deaths(world).await;
    let Some(deployment) = world.site.deployment.as_deref() else { return Ok(()) };
    let broken: Vec<String> =
        world.all_broken().into_iter().filter(|what| !what.contains('.')).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let services: Vec<&str> = broken
        .iter()
        .map(String::as_str)
        .filter(|what| ["kafka", "redis", "postgres"].contains(what))
        .collect();
    let failed = |error: DeployError| EngineError::Mend(error.to_string());
    let mended = deployment.mend_services(&services).await;
    // One may have died of it that a server came back.
    note_deaths(world).await;
    mended.map_err(failed)?;
    let mended = deployment.mend_processes().await;
    // Or of it that it should go on.
    note_deaths(world).await;
    mended.map_err(failed)?;
    for what in broken {
        world.mended(&what, format!("{what} works again, after the last step"));
    }
    Ok(())
}

/// Tells the history which connections were to be upgraded and are not, once there was time enough.
async fn note_who_still_polls(world: &World) {
    let mut upgrading = Vec::new();
    for (name, device) in &world.devices {
        if device.lock().await.upgrades() {
            upgrading.push(name);
        }
    }
    let broken = world.all_broken();
    let still_polls = |story: &Story| -> Vec<ConnectionId> {
        let newest = upgrading.iter().filter_map(|name| story.connection_of(name));
        newest
            .filter(|(_, known)| {
                let is_broken = broken.contains(&known.device) || broken.contains(&known.gateway);
                known.is_connected() && known.upgraded.is_none() && !is_broken
            })
            .map(|(id, _)| id)
            .collect()
    };
    let all_upgraded = |story: &Story| still_polls(story).is_empty().then_some(());
    world.recorder.until(Instant::now() + UPGRADE_LIMIT, all_upgraded).await;
    for connection in world.recorder.look(still_polls) {
        world.recorder.push(What::StillPolls { connection });
    }
}

/// Tells the history which processes have ended by themselves, each once.
async fn note_deaths(world: &World) {
    let Some(deployment) = world.site.deployment.as_deref() else { return };
    for (what, text) in deployment.ended_by_themselves().await {
        if world.dies(&what) {
            world.recorder.push(What::Died { what, text });
        }
    }
}

/// Reads every room until all that was accepted or heard there is in its history, or the deadline.
async fn read_all(world: &World, readings: &mut BTreeMap<String, Reading>, deadline: Instant) {
    for (_, room) in world.rooms() {
        while !is_complete(world, &room, readings) {
            let reading = read_at_last(world, &room).await;
            keep(world, &room, reading, readings);
            if Instant::now() >= deadline {
                break;
            }
            if !is_complete(world, &room, readings) {
                sleep(POLL).await;
            }
        }
    }
}

/// Remembers a reading, and tells the history what is new.
fn keep(world: &World, room: &str, reading: Reading, readings: &mut BTreeMap<String, Reading>) {
    if readings.get(room) == Some(&reading) {
        return;
    }
    world.recorder.push(match &reading {
        Reading::Messages(messages) => {
            What::Stored { room: room.to_owned(), messages: messages.clone() }
        }
        Reading::Closed(reason) | Reading::Failed(reason) => {
            What::Unreadable { room: room.to_owned(), reason: reason.clone() }
        }
    });
    readings.insert(room.to_owned(), reading);
}

/// Whether the history of a room has everything that was accepted or heard there.
fn is_complete(world: &World, room: &str, readings: &BTreeMap<String, Reading>) -> bool {
    let Some(reading) = readings.get(room) else { return false };
    let messages = match reading {
        Reading::Messages(messages) => messages.as_slice(),
        Reading::Closed(_) | Reading::Failed(_) => &[],
    };
    let field = |message: &Value, name: &str| {
        message[name].as_str().map(str::to_lowercase).unwrap_or_default()
    };
    let stored: BTreeSet<(String, String)> = messages
        .iter()
        .map(|message| (field(message, "senderId"), field(message, "clientMsgId")))
        .collect();
    let accepted = |story: &Story| -> BTreeSet<(String, String)> {
        let sent = story.sent.iter().filter(|sent| {
            sent.event == "sendMessage"
                && sent.is_accepted()
                && sent.id("roomId").as_deref() == Some(room)
        });
        let heard = story.deliveries.iter().filter(|heard| heard.id("roomId") == room);
        let heard = heard.map(|heard| (heard.id("senderId"), heard.id("clientMsgId")));
        let sent = sent.filter_map(|sent| {
            let user = &story.connections.get(&sent.connection)?.user;
            Some((user.to_lowercase(), sent.id("clientMsgId")?))
        });
        sent.chain(heard).collect()
    };
    world.recorder.look(accepted).is_subset(&stored)
}

/// Waits until nothing has come or gone for a while.
async fn quiet(world: &World, deadline: Instant) {
    loop {
        let (moved, now) = (world.recorder.look(|story| story.moved), world.recorder.now());
        let Some(left) = QUIET.checked_sub(now.saturating_sub(moved)) else { return };
        if left.is_zero() || Instant::now() >= deadline {
            return;
        }
        sleep(left).await;
    }
}

/// Whether every event of a connection that is there, and whose network works, has its ack.
fn is_all_answered(story: &Story, world: &World) -> bool {
    let broken = world.all_broken();
    let is_there = |sent: &&crate::history::Sent| {
        story
            .connections
            .get(&sent.connection)
            .is_some_and(|known| known.ended().is_none() && !broken.contains(&known.device))
    };
    let is_known =
        |event: &str| ["joinRoom", "leaveRoom", "sendMessage", "heartbeat"].contains(&event);
    let asked = story.sent.iter().filter(|sent| sent.ack_id.is_some() && is_known(&sent.event));
    asked.filter(is_there).all(|sent| !sent.acks.is_empty())
}

/// Whether every connection that is in a room has heard what was stored there since it joined.
fn is_all_heard(story: &Story) -> bool {
    let heard: BTreeSet<_> = story
        .deliveries
        .iter()
        .map(|delivery| (delivery.connection, delivery.id("messageId")))
        .collect();
    // As it is judged: from the first try on that was not refused.
    let mut sent_first: BTreeMap<String, Duration> = BTreeMap::new();
    for sent in story.sent.iter().filter(|sent| !sent.is_refused()) {
        if let Some(id) = sent.id("clientMsgId") {
            sent_first.entry(id).or_insert(sent.at);
        }
    }
    let stored = |room: &str| -> Vec<(String, Duration)> {
        let messages = story.stored.get(room).into_iter().flatten();
        let id =
            |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_lowercase();
        let known = messages.filter_map(|message| {
            Some((id(message, "messageId"), *sent_first.get(&id(message, "clientMsgId"))?))
        });
        known.collect()
    };
    let rooms: BTreeMap<&String, Vec<(String, Duration)>> =
        story.stored.keys().map(|room| (room, stored(room))).collect();
    let inside = story.inside.iter().filter(|inside| inside.leaving.is_none());
    inside.into_iter().all(|inside| {
        let stored = rooms.get(&inside.room).into_iter().flatten();
        stored
            .filter(|(id, at)| inside.had_begun(*at, Some(id)))
            .all(|(id, _)| heard.contains(&(inside.connection, id.clone())))
    })
}

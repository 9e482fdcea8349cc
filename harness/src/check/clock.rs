//! Times that a gateway tells: of this run, and the same wherever they are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use uuid::Uuid;

use super::Finding;
use crate::{
    contract::{OWN_SKEW_MS, SKEW_MS, milliseconds_of},
    history::{Delivery, History, Story, What, gateway_of},
};

/// The fields that say when, in themselves or, as a UUIDv7 does, inside, something of a run came to be.
const FIELDS: [&str; 4] = ["createdAt", "joinedAt", "connectedAt", "messageId"];

/// Everything that a run sees was made in it: its people, and with them their rooms and messages, are new.
/// `are_ours`: the gateways run on this machine, and have its clock.
pub(super) fn clock(history: &History, story: &Story, are_ours: bool, findings: &mut Vec<Finding>) {
    of_this_run(history, story, if are_ours { OWN_SKEW_MS } else { SKEW_MS }, findings);
    milliseconds_are_told(story, findings);
    rooms_keep_theirs(history, findings);
    members_keep_theirs(history, findings);
    sockets_keep_theirs(history, findings);
    if are_ours {
        sockets_are_of_their_gateway(history, story, findings);
    }
}

fn of_this_run(history: &History, story: &Story, skew: i64, findings: &mut Vec<Finding>) {
    let Some(began) = history.began() else { return };
    let mut judge = |invariant, at: Duration, place: String, value: &Value| {
        let late = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        each_time(value, &mut |field, text| {
            let told = if field == "messageId" { minted_at(text) } else { milliseconds_of(text) };
            let Some(told) = told else { return };
            if told < began - skew || told > began + late + skew {
                let text =
                    format!("{place} `{field}` {text}, which is not in the time of this run");
                findings.push(Finding { invariant, at, text });
            }
        });
    };
    for heard in &story.deliveries {
        let place = format!("{} heard a message with the", story.device(heard.connection));
        judge("frames", heard.at, place, &heard.message);
    }
    for entry in history.entries() {
        if let What::Called { call, reply, .. } = &entry.what {
            judge("replies", entry.at, format!("`{call}` was answered with the"), reply);
        }
    }
}

/// Messages that were sent in so many different moments were not all made at the beginning of a second.
const MOMENTS: usize = 4;

/// A moment: what is made in one may have one time.
const MOMENT: Duration = Duration::from_millis(50);

/// Some `createdAt` has milliseconds that are not zero.
fn milliseconds_are_told(story: &Story, findings: &mut Vec<Finding>) {
    let mut sent = BTreeMap::new();
    for event in story.sent.iter().filter(|event| event.event == "sendMessage") {
        if let Some(id) = event.id("clientMsgId") {
            sent.entry(id).or_insert(event.at.as_millis() / MOMENT.as_millis());
        }
    }
    let moments: BTreeSet<u128> = story
        .deliveries
        .iter()
        .filter_map(|heard| sent.get(&heard.id("clientMsgId")).copied())
        .collect();
    let time = |heard: &Delivery| heard.message["createdAt"].as_str().and_then(milliseconds_of);
    let is_whole = |heard| time(heard).is_some_and(|told| told % 1_000 == 0);
    if let Some(last) = story.deliveries.last()
        && moments.len() >= MOMENTS
        && story.deliveries.iter().all(is_whole)
    {
        let text = format!(
            "no message has milliseconds in its `createdAt`, the last one is from {}",
            last.message["createdAt"].as_str().unwrap_or_default()
        );
        findings.push(Finding { invariant: "frames", at: last.at, text });
    }
}

/// The name and the `createdAt` of a room are told alike by each reply.
fn rooms_keep_theirs(history: &History, findings: &mut Vec<Finding>) {
    let mut known: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for entry in history.entries() {
        let What::Called { call, reply, .. } = &entry.what else { continue };
        if !["GET /rooms", "POST /rooms"].contains(&call.as_str()) {
            continue;
        }
        let rooms = reply.as_array().map_or_else(|| std::slice::from_ref(reply), Vec::as_slice);
        for room in rooms {
            let (Some(id), Some(made)) = (room["id"].as_str(), room["createdAt"].as_str()) else {
                continue;
            };
            let title = room["name"].as_str().unwrap_or_default();
            let (before, named) = known.entry(id.to_lowercase()).or_insert((made, title));
            if *named != title {
                let name = history.name(id);
                let text = format!(
                    "`{call}` was answered with the `name` {title:?} for {name}, and before it was {named:?}"
                );
                findings.push(Finding { invariant: "replies", at: entry.at, text });
            }
            if !is_same_time(before, made) {
                let name = history.name(id);
                let text = format!(
                    "`{call}` was answered with the `createdAt` {made} for {name}, and before it was {before}"
                );
                findings.push(Finding { invariant: "replies", at: entry.at, text });
            }
        }
    }
}

/// The `joinedAt` of a member is the one that their join was answered with, as long as they have not joined again.
fn members_keep_theirs(history: &History, findings: &mut Vec<Finding>) {
    let mut joins: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    let mut first_join: BTreeMap<(String, String), Duration> = BTreeMap::new();
    let (mut uncertain, mut earlier) = (BTreeSet::new(), BTreeSet::new());
    for (room, call) in rooms_called(history).filter(|(_, call)| call.what == "join") {
        let key = (room, call.user.to_lowercase());
        if call.status == 201 {
            first_join.entry(key.clone()).or_insert(call.at);
            joins.entry(key).or_default().extend(call.reply["joinedAt"].as_str());
        } else if call.status == 0 || call.status >= 500 {
            // It may have joined all the same.
            uncertain.insert(key);
        }
    }
    for (room, call) in rooms_called(history).filter(|(_, call)| call.what == "members") {
        for member in call.reply.as_array().into_iter().flatten() {
            let (Some(user), Some(told)) = (member["userId"].as_str(), member["joinedAt"].as_str())
            else {
                continue;
            };
            let key = (room.clone(), user.to_lowercase());
            // Who was a member before the first step has a time that no answer told.
            let may_be_earlier = first_join.get(&key).is_none_or(|first| call.began < *first);
            let times = joins.entry(key.clone()).or_default();
            if may_be_earlier && earlier.insert(key.clone()) {
                times.push(told);
            }
            let is_known = times.iter().any(|time| is_same_time(time, told));
            if !is_known && !uncertain.contains(&key) {
                let (user, room, known) =
                    (history.name(user), history.name(&room), times.join(", "));
                let text = format!(
                    "the members of {room} were told with {user}'s `joinedAt` {told}, who had joined at {known}"
                );
                findings.push(Finding { invariant: "replies", at: call.at, text });
            }
        }
    }
}

/// A socket is of one gateway, and connected once, wherever presence tells of it.
fn sockets_keep_theirs(history: &History, findings: &mut Vec<Finding>) {
    let mut known: BTreeMap<String, (String, String)> = BTreeMap::new();
    each_entry(history, |at, socket, entry| {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let told = (text("serverId"), text("connectedAt"));
        let before = known.entry(socket.to_owned()).or_insert_with(|| told.clone());
        if before.0 != told.0 || !is_same_time(&before.1, &told.1) {
            let text = format!(
                "the entry of {socket} was {} since {}, and before it was {} since {}",
                told.0, told.1, before.0, before.1
            );
            findings.push(Finding { invariant: "presence", at, text });
        }
    });
}

/// A `serverId` is the name that we have given to the gateway that the socket is connected to.
fn sockets_are_of_their_gateway(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let all = story.connections.values();
    let gateways: BTreeMap<&str, &str> =
        all.filter_map(|known| Some((known.socket.as_deref()?, &*known.gateway))).collect();
    each_entry(history, |at, socket, entry| {
        let told = entry["serverId"].as_str().unwrap_or_default();
        if let Some(gateway) = gateways.get(socket)
            && gateway_of(told) != Some(gateway)
        {
            let text =
                format!("the entry of {socket}, which is connected to {gateway}, names `{told}`");
            findings.push(Finding { invariant: "presence", at, text });
        }
    });
}

/// Each entry of presence that was told over HTTP, or kept at the end: when, of which socket, and what it says.
fn each_entry(history: &History, mut judge: impl FnMut(Duration, &str, &Value)) {
    for entry in history.entries() {
        if let What::Called { call, reply, .. } = &entry.what
            && call.starts_with("GET /users/")
        {
            for told in reply["sockets"].as_array().into_iter().flatten() {
                judge(entry.at, told["socketId"].as_str().unwrap_or_default(), told);
            }
        } else if let What::Kept { fields, .. } = &entry.what {
            for (socket, value) in fields {
                // What is no JSON is told elsewhere.
                if let Ok(value) = serde_json::from_str(value) {
                    judge(entry.at, socket, &value);
                }
            }
        }
    }
}

/// Whether two times are the same, however precise they are written.
fn is_same_time(one: &str, other: &str) -> bool {
    one == other || milliseconds_of(one).is_some_and(|time| milliseconds_of(other) == Some(time))
}

/// A request about one room.
struct RoomCall<'h> {
    began: Duration,
    at: Duration,
    user: &'h str,
    /// `join`, `leave`, `members` or `messages`.
    what: &'h str,
    status: u16,
    reply: &'h Value,
}

/// The requests about rooms, each with the room's id in lower case.
fn rooms_called(history: &History) -> impl Iterator<Item = (String, RoomCall<'_>)> {
    history.entries().iter().filter_map(|entry| {
        let What::Called { user, call, began, status, reply, .. } = &entry.what else {
            return None;
        };
        let (_, path) = call.split_once(" /rooms/")?;
        let (room, what) = path.split('?').next()?.split_once('/')?;
        let (began, at) = (*began, entry.at);
        let call = RoomCall { began, at, user, what, status: *status, reply };
        Some((room.to_lowercase(), call))
    })
}

/// When an id of version 7 was made, in milliseconds since 1970.
fn minted_at(id: &str) -> Option<i64> {
    let id = Uuid::try_parse(id).ok().filter(|id| id.get_version_num() == 7)?;
    i64::try_from(id.as_u128() >> 80).ok()
}

fn each_time(value: &Value, on: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each_time(item, on)),
        Value::Object(fields) => {
            for (name, item) in fields {
                match item.as_str().filter(|_| FIELDS.contains(&name.as_str())) {
                    Some(text) => on(name, text),
                    None => each_time(item, on),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOON: &str = "2026-01-31T12:00:00.000Z";

    fn texts(replies: &[(&str, Value)]) -> Vec<String> {
        texts_of(replies, false)
    }

    fn texts_of(replies: &[(&str, Value)], are_ours: bool) -> Vec<String> {
        let mut history = History::beginning_at(milliseconds_of(NOON).unwrap());
        for (second, (call, reply)) in (1..).zip(replies) {
            let at = Duration::from_secs(second);
            let what = What::Called {
                user: "alice".to_owned(),
                gateway: None,
                is_admin: false,
                call: (*call).to_owned(),
                began: at,
                status: if call.ends_with("/join") { 201 } else { 200 },
                reply: reply.clone(),
                headers: BTreeMap::new(),
            };
            history.push(at, what);
        }
        let mut findings = Vec::new();
        clock(&history, &Story::read(&history), are_ours, &mut findings);
        findings.into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn a_time_is_of_the_run() {
        let reply = |time: &str| json!({"sockets": [{"connectedAt": time}]});
        let call = "GET /users/alice/presence";
        assert!(texts(&[(call, reply(NOON))]).is_empty());
        let later = (call, reply("2026-01-31T12:01:59.000Z"));
        assert!(texts(std::slice::from_ref(&later)).is_empty());
        assert_eq!(texts_of(&[later], true).len(), 1, "ours have our clock");
        assert!(texts_of(&[(call, reply("2026-01-31T12:00:04.000Z"))], true).is_empty());
        assert_eq!(texts(&[(call, reply("2026-01-31T21:00:00.000Z"))]).len(), 1);
        assert_eq!(texts(&[(call, reply("1970-01-01T00:00:00.000Z"))]).len(), 1);
    }

    #[test]
    fn a_socket_has_one_gateway_and_one_time() {
        let told = |server: &str, time: &str| {
            let socket = json!({"socketId": "s", "serverId": server, "connectedAt": time});
            ("GET /users/alice/presence", json!({"sockets": [socket]}))
        };
        assert!(texts(&[told("gw1", NOON), told("gw1", NOON)]).is_empty());
        assert_eq!(texts(&[told("gw1", NOON), told("gw2", NOON)]).len(), 1);
        assert_eq!(texts(&[told("gw1", NOON), told("gw1", "2026-01-31T12:00:01.000Z")]).len(), 1);
    }

    #[test]
    fn an_id_is_of_the_run() {
        let page = |id: &str| ("GET /rooms/r/messages", json!([{"messageId": id}]));
        let noon = milliseconds_of(NOON).unwrap();
        let id = |at: i64| format!("{:08x}-{:04x}-7000-8000-000000000001", at >> 16, at & 0xffff);
        assert!(texts(&[page(&id(noon))]).is_empty());
        assert_eq!(texts(&[page(&id(noon - 3_600_000))]).len(), 1);
        assert_eq!(texts(&[page(&id(0))]).len(), 1);
    }

    #[test]
    fn a_member_has_one_time() {
        let joined = |time: &str| ("POST /rooms/R/join", json!({"joinedAt": time}));
        let members =
            |time: &str| ("GET /rooms/r/members", json!([{"userId": "Alice", "joinedAt": time}]));
        let (first, second) = ("2026-01-31T12:00:00.001Z", "2026-01-31T12:00:00.002Z");
        assert!(texts(&[joined(first), members(first)]).is_empty());
        assert_eq!(texts(&[joined(first), members(second)]).len(), 1);
        // They joined again, or were there before the first step.
        assert!(texts(&[members(first), joined(second), members(second)]).is_empty());
        assert!(
            texts(&[joined(first), members(first), joined(second), members(second)]).is_empty()
        );
        assert!(texts(&[members(first), members(first)]).is_empty());
        assert_eq!(texts(&[members(first), members(second)]).len(), 1);
    }

    #[test]
    fn a_room_has_one_time() {
        let made = ("POST /rooms", json!({"id": "R", "name": "attic", "createdAt": NOON}));
        let listed =
            |time: &str| ("GET /rooms", json!([{"id": "r", "name": "attic", "createdAt": time}]));
        let renamed = ("GET /rooms", json!([{"id": "r", "name": "cellar", "createdAt": NOON}]));
        assert_eq!(texts(&[made.clone(), renamed]).len(), 1);
        assert!(texts(&[made.clone(), listed(NOON)]).is_empty());
        assert_eq!(texts(&[made, listed("2026-01-31T12:00:00.001Z")]).len(), 1);
    }
}

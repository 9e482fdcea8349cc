//! Times that a gateway tells: of this run, and the same wherever they are told.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::Finding;
use crate::{
    contract::milliseconds_of,
    history::{History, Story, What},
};

/// How far another machine's clock may be from ours, in milliseconds.
const SKEW_MS: i64 = 120_000;

/// The fields that say when something of a run came to be.
const FIELDS: [&str; 3] = ["createdAt", "joinedAt", "connectedAt"];

/// Everything that a run sees was made in it: its people, and with them their rooms and messages, are new.
pub(super) fn clock(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    of_this_run(history, story, findings);
    rooms_keep_theirs(history, findings);
}

fn of_this_run(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let Some(began) = history.began() else { return };
    let mut judge = |invariant, at: Duration, place: String, value: &Value| {
        let late = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        each_time(value, &mut |field, text| {
            let Some(told) = milliseconds_of(text) else { return };
            if told < began - SKEW_MS || told > began + late + SKEW_MS {
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

/// The `createdAt` of a room is told alike by each reply.
fn rooms_keep_theirs(history: &History, findings: &mut Vec<Finding>) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
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
            let before = known.entry(id.to_lowercase()).or_insert_with(|| made.to_owned());
            if before != made {
                let name = history.name(id);
                let text = format!(
                    "`{call}` was answered with the `createdAt` {made} for {name}, and before it was {before}"
                );
                findings.push(Finding { invariant: "replies", at: entry.at, text });
            }
        }
    }
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
        let mut history = History::beginning_at(milliseconds_of(NOON).unwrap());
        for (call, reply) in replies {
            let what = What::Called {
                user: "alice".to_owned(),
                gateway: None,
                call: (*call).to_owned(),
                began: Duration::ZERO,
                status: 200,
                reply: reply.clone(),
                headers: BTreeMap::new(),
            };
            history.push(Duration::from_secs(1), what);
        }
        let mut findings = Vec::new();
        clock(&history, &Story::read(&history), &mut findings);
        findings.into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn a_time_is_of_the_run() {
        let reply = |time: &str| json!({"sockets": [{"connectedAt": time}]});
        let call = "GET /users/alice/presence";
        assert!(texts(&[(call, reply(NOON))]).is_empty());
        assert!(texts(&[(call, reply("2026-01-31T12:01:59.000Z"))]).is_empty());
        assert_eq!(texts(&[(call, reply("2026-01-31T21:00:00.000Z"))]).len(), 1);
        assert_eq!(texts(&[(call, reply("1970-01-01T00:00:00.000Z"))]).len(), 1);
    }

    #[test]
    fn a_room_has_one_time() {
        let made = ("POST /rooms", json!({"id": "R", "createdAt": NOON}));
        let listed = |time: &str| ("GET /rooms", json!([{"id": "r", "createdAt": time}]));
        assert!(texts(&[made.clone(), listed(NOON)]).is_empty());
        assert_eq!(texts(&[made, listed("2026-01-31T12:00:00.001Z")]).len(), 1);
    }
}

//! What a packet says, for people: names instead of ids, and nothing that only machines want.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::history::{History, Story};

/// Longest text that is shown of a payload, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// Ids are at least so long, in bytes: a captured `12` is no id, and would be found everywhere.
const ID_BYTES_MIN: usize = 12;

/// A packet in words; `None`: a ping, or another packet in which nobody says anything.
pub(super) fn in_words(history: &History, packet: &str) -> Option<String> {
    if let Some(rest) = packet.strip_prefix("42") {
        let (id, json) = id_and_json(rest);
        let Some(Value::Array(parts)) = json else { return Some(short(packet)) };
        let event = parts.first().and_then(Value::as_str).unwrap_or("?").to_owned();
        let said =
            parts.get(1).map(|payload| payload_in_words(history, payload)).unwrap_or_default();
        let number = id.map(|id| format!(" #{id}")).unwrap_or_default();
        return Some(format!("{event} {said}{number}"));
    }
    if let Some(rest) = packet.strip_prefix("43") {
        let (id, json) = id_and_json(rest);
        let Some(ack) = json.and_then(|json| json.get(0).cloned()) else {
            return Some(short(packet));
        };
        let number = id.map(|id| format!(" #{id}")).unwrap_or_default();
        return Some(format!("ack {}{number}", ack_in_words(&ack)));
    }
    match packet {
        "1" => Some("close".to_owned()),
        "41" => Some("disconnect".to_owned()),
        _ if packet.starts_with("40") => Some("connect".to_owned()),
        _ if ["0", "2", "3", "5", "6"].iter().any(|kind| packet.starts_with(kind)) => None,
        _ => Some(short(packet)),
    }
}

/// The id before the JSON, and the JSON.
fn id_and_json(text: &str) -> (Option<&str>, Option<Value>) {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let id = Some(&text[..digits]).filter(|id| !id.is_empty());
    (id, serde_json::from_str(&text[digits..]).ok())
}

/// The message and the room, by their names; what is neither as it is.
fn payload_in_words(history: &History, payload: &Value) -> String {
    let name_of = |field: &str| {
        let id = payload[field].as_str()?;
        let name = history.name(id);
        // Nobody has named it.
        if name.trim_matches('`') == id { None } else { Some(name.trim_matches('`').to_owned()) }
    };
    let names: Vec<String> = ["clientMsgId", "roomId"].into_iter().filter_map(name_of).collect();
    if names.is_empty() {
        short(&history.with_names(&payload.to_string()))
    } else {
        names.join(" in ")
    }
}

fn ack_in_words(ack: &Value) -> String {
    let error = ack["error"].as_str().map(|error| format!(": {error}")).unwrap_or_default();
    match (ack["status"].as_str(), ack["success"].as_bool()) {
        (Some(status), _) => format!("{status}{error}"),
        (None, Some(true)) if ack["truncated"] == true => "success, truncated".to_owned(),
        (None, Some(true)) => "success".to_owned(),
        (None, Some(false)) => format!("failed{error}"),
        (None, None) => short(&ack.to_string()),
    }
}

/// What ids in requests are called: those that the history names, and `hi.id` for the `messageId` of the message `hi`.
pub(super) fn names_in_calls(history: &History, story: &Story) -> BTreeMap<String, String> {
    let mut names = history.names().clone();
    for heard in &story.deliveries {
        if let Some(name) = history.names().get(&heard.id("clientMsgId")) {
            names.insert(heard.id("messageId"), format!("{name}.id"));
        }
    }
    names
}

/// The status of an answer; there may have been none.
pub(super) fn status_in_words(status: u16) -> String {
    if status == 0 { "no answer".to_owned() } else { status.to_string() }
}

/// Names instead of ids, in one walk over the text: there may be thousands of names.
pub(super) fn with_names(names: &BTreeMap<String, String>, text: &str) -> String {
    let is_of_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c| !is_of_id(c)).unwrap_or(rest.len());
        let (id, after) = rest.split_at(word);
        let known = if id.len() < ID_BYTES_MIN { None } else { names.get(&id.to_lowercase()) };
        shown.push_str(known.map_or(id, String::as_str));
        let next = after.find(is_of_id).unwrap_or(after.len());
        shown.push_str(&after[..next]);
        rest = &after[next..];
    }
    shown
}

/// The beginning of a text, on one line.
pub(super) fn short(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= SHOWN_CHARS_MAX {
        return line;
    }
    let begin: String = line.chars().take(SHOWN_CHARS_MAX - 1).collect();
    format!("{begin}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_speak_of_names() {
        let mut history = History::default();
        history.call("11111111-2222-4333-8444-555555555555", "hi");
        history.call("aaaaaaaa-2222-4333-8444-555555555555", "general");
        let check = |packet: &str, words: Option<&str>| {
            assert_eq!(in_words(&history, packet).as_deref(), words, "{packet}");
        };
        let ids = r#"{"roomId":"AAAAAAAA-2222-4333-8444-555555555555","clientMsgId":"11111111-2222-4333-8444-555555555555"}"#;
        check(&format!(r#"427["sendMessage",{ids}]"#), Some("sendMessage hi in general #7"));
        check(r#"42["joinRoom",{"roomId":7}]"#, Some(r#"joinRoom {"roomId":7}"#));
        check(r#"437[{"clientMsgId":"x","status":"ACCEPTED"}]"#, Some("ack ACCEPTED #7"));
        let refused = r#"430[{"success":false,"error":"Invalid room"}]"#;
        check(refused, Some("ack failed: Invalid room #0"));
        check("40{\"sid\":\"x\"}", Some("connect"));
        check("41", Some("disconnect"));
        check("42[\"bro", Some("42[\"bro"));
        check("2", None);
    }
}

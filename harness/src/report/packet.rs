//! What a packet says, for people: names instead of ids, and nothing that only machines want.

use serde_json::Value;

use crate::history::IdNames;

/// Longest text that is shown of a payload, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// A packet in words; `None`: a ping, or another packet in which nobody says anything.
pub(super) fn in_words(names: &IdNames, packet: &str) -> Option<String> {
    if let Some(rest) = packet.strip_prefix("42") {
        let (id, json) = id_and_json(rest);
        let Some(Value::Array(parts)) = json else { return Some(short(packet)) };
        let event = parts.first().and_then(Value::as_str).unwrap_or("?").to_owned();
        let said = parts.get(1).map(|payload| payload_in_words(names, payload)).unwrap_or_default();
        let number = id.map(|id| format!(" #{id}")).unwrap_or_default();
        // Before what may be cut off: an ack is found by it.
        return Some(format!("{event}{number} {said}"));
    }
    if let Some(rest) = packet.strip_prefix("43") {
        let (id, json) = id_and_json(rest);
        let Some(ack) = json.and_then(|json| json.get(0).cloned()) else {
            return Some(short(packet));
        };
        let number = id.map(|id| format!(" #{id}")).unwrap_or_default();
        return Some(format!("ack{number} {}", ack_in_words(&ack)));
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
fn payload_in_words(names: &IdNames, payload: &Value) -> String {
    let called = |field: &str| names.of(payload[field].as_str()?);
    let meant: Vec<&str> = ["clientMsgId", "roomId"].into_iter().filter_map(called).collect();
    if meant.is_empty() { short(&names.in_text(&payload.to_string())) } else { meant.join(" in ") }
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

/// The status of an answer; there may have been none.
pub(super) fn status_in_words(status: u16) -> String {
    if status == 0 { "no answer".to_owned() } else { status.to_string() }
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
        let mut names = IdNames::default();
        names.call("11111111-2222-4333-8444-555555555555", "hi");
        names.call("aaaaaaaa-2222-4333-8444-555555555555", "general");
        let check = |packet: &str, words: Option<&str>| {
            assert_eq!(in_words(&names, packet).as_deref(), words, "{packet}");
        };
        let ids = r#"{"roomId":"AAAAAAAA-2222-4333-8444-555555555555","clientMsgId":"11111111-2222-4333-8444-555555555555"}"#;
        check(&format!(r#"427["sendMessage",{ids}]"#), Some("sendMessage #7 hi in general"));
        check(r#"42["joinRoom",{"roomId":7}]"#, Some(r#"joinRoom {"roomId":7}"#));
        check(r#"437[{"clientMsgId":"x","status":"ACCEPTED"}]"#, Some("ack #7 ACCEPTED"));
        let refused = r#"430[{"success":false,"error":"Invalid room"}]"#;
        check(refused, Some("ack #0 failed: Invalid room"));
        check("40{\"sid\":\"x\"}", Some("connect"));
        check("41", Some("disconnect"));
        check("42[\"bro", Some("42[\"bro"));
        check("2", None);
    }
}

//! Every event that asked for an ack has exactly one, in the contract's shape.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::{Uuid, Variant};

use super::{Finding, faults::Fault};
use crate::contract::{self, CONTENT_UNITS_MAX, MESSAGE_ERRORS, ROOM_ERRORS};
use crate::history::{Connection, History, Sent, Story, moment, shown};

/// How long an ack may take; and a bit for the machine.
const ACK_LIMIT: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(1);

/// What is said of an event without an ack.
pub(super) const UNANSWERED: &str = "was never acknowledged";

pub(super) fn one_ack(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let mut report = |at, text| findings.push(Finding { invariant: "one-ack", at, text });
    for (at, connection, id) in &story.stray_acks {
        let device = story.device(*connection);
        report(*at, format!("{device} got an ack with the id {id}, which it never asked for"));
    }
    let faults = Fault::all(history);
    for sent in &story.sent {
        let device = story.device(sent.connection);
        let Some(is_right) = shape_of(sent) else {
            if let Some((at, ack)) = sent.acks.first() {
                let event = &sent.event;
                report(
                    *at,
                    format!("`{event}` of {device} is unknown, and was acknowledged {ack}"),
                );
            }
            continue;
        };
        let what = match sent.id("clientMsgId") {
            Some(id) => format!("{} of {}", sent.event, history.name(&id)),
            None => sent.event.clone(),
        };
        let known = story.connections.get(&sent.connection);
        match &sent.acks[..] {
            // Its time is not over yet: whoever ended the run has not waited for it.
            [] if story.end < sent.at + ACK_LIMIT + SLACK => {}
            [] if known.is_some_and(|it| is_served(it, sent.at, &faults))
                && sent.ack_id.is_some() =>
            {
                let at = moment(sent.at);
                report(sent.at, format!("{what} by {device}, sent at {at}, {UNANSWERED}"));
            }
            [] => {}
            [(at, ack)] => {
                let why = if is_right(ack) {
                    misjudged(sent, ack)
                } else {
                    Some("which is not in the contract")
                };
                if let Some(why) = why {
                    report(*at, format!("{what} by {device} was acknowledged {ack}, {why}"));
                }
                let took = at.saturating_sub(sent.at);
                let is_excused = known.is_some_and(|it| holds_up(&faults, it, sent.at, *at));
                if took > ACK_LIMIT + SLACK && !is_excused {
                    let took = shown(took);
                    report(*at, format!("{what} by {device} was acknowledged after {took}"));
                }
            }
            [_, .., (at, _)] => {
                report(
                    *at,
                    format!("{what} by {device} was acknowledged {} times", sent.acks.len()),
                );
            }
        }
    }
}

/// Whether a connection has stayed for as long as an ack may take, or for good, and was still in the namespace when it sent
/// something at this time.
fn is_served(known: &Connection, at: Duration, faults: &[Fault<'_>]) -> bool {
    let stayed = known.closed.is_none_or(|closed| {
        closed > at + ACK_LIMIT + SLACK && !holds_up(faults, known, at, closed)
    });
    stayed && known.dismissed.is_none_or(|dismissed| at < dismissed)
}

/// Whether something that holds acks up was broken between an event and its ack: the device, or its gateway.
fn holds_up(faults: &[Fault<'_>], known: &Connection, sent: Duration, acked: Duration) -> bool {
    faults.iter().any(|fault| {
        (fault.what == known.device || fault.what == known.gateway)
            && fault.touches(sent, acked, Duration::ZERO)
    })
}

/// Why an ack does not fit the payload, which decides alone whether an event is malformed.
fn misjudged(sent: &Sent, ack: &Value) -> Option<&'static str> {
    let is_message = sent.event == "sendMessage";
    let text = if is_message { "Invalid message format" } else { "Invalid room" };
    let is_refused = ack["error"] == text;
    // Who is busy or about to stop need not look at what was sent.
    if ["Rate limit exceeded", "Temporarily unavailable"].iter().any(|busy| ack["error"] == *busy) {
        return None;
    }
    match is_well_formed(sent)? {
        true if is_refused => Some("though its payload is right"),
        false if !is_refused => Some("though its payload is malformed"),
        _ => None,
    }
}

/// Whether the contract takes this payload; `None` where it leaves that open.
fn is_well_formed(sent: &Sent) -> Option<bool> {
    let payload = &sent.payload;
    if sent.event == "heartbeat" || sent.event == "joinRoom" && payload.get("after").is_some() {
        return None;
    }
    if !is_id(&payload["roomId"]) {
        return Some(false);
    }
    if sent.event != "sendMessage" {
        return Some(true);
    }
    let content = payload["content"].as_str().unwrap_or_default();
    let units = content.encode_utf16().count();
    let is_content = (1..=CONTENT_UNITS_MAX).contains(&units) && !content.contains('\0');
    let is_kind = payload.get("type").is_none_or(|kind| *kind == "TEXT" || *kind == "IMAGE");
    let is_right = is_id(&payload["clientMsgId"]) && is_content && is_kind;
    // A `null` may count as absent.
    if payload.get("type").is_some_and(Value::is_null) { None } else { Some(is_right) }
}

fn is_id(value: &Value) -> bool {
    let id = value.as_str().filter(|text| contract::is_id(text));
    let id = id.and_then(|text| Uuid::try_parse(text).ok());
    id.is_some_and(|id| id.get_variant() == Variant::RFC4122)
}

/// Whether an ack is one of the contract's.
type Shape = Box<dyn Fn(&Value) -> bool>;

/// What an ack of this event must look like; `None` for events that the contract does not know.
fn shape_of(sent: &Sent) -> Option<Shape> {
    // Only who asks for what came after a message can be told that it was too much.
    let may_be_truncated = sent.event == "joinRoom" && sent.payload.get("after").is_some();
    let is_plain = move |ack: &Value| {
        let error = ack["error"].as_str().unwrap_or_default();
        *ack == json!({"success": true})
            || may_be_truncated && *ack == json!({"success": true, "truncated": true})
            || ROOM_ERRORS.contains(&error) && *ack == json!({"success": false, "error": error})
    };
    match sent.event.as_str() {
        "joinRoom" | "leaveRoom" => Some(Box::new(is_plain)),
        "heartbeat" => Some(Box::new(|ack| {
            *ack == json!({"success": true})
                || *ack == json!({"success": false, "error": "Rate limit exceeded"})
        })),
        "sendMessage" => {
            let id = sent.payload["clientMsgId"].as_str().unwrap_or_default().to_owned();
            Some(Box::new(move |ack| {
                let error = ack["error"].as_str().unwrap_or_default();
                *ack == json!({"clientMsgId": id, "status": "ACCEPTED"})
                    || MESSAGE_ERRORS.contains(&error)
                        && *ack == json!({"clientMsgId": id, "status": "FAILED", "error": error})
            }))
        }
        _ => None,
    }
}

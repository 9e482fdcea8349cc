//! Every event that asked for an ack has exactly one, in the contract's shape.

use serde_json::{Value, json};

use super::Finding;
use crate::history::{History, Sent, Story, moment};

/// The errors of `joinRoom` and `leaveRoom`, and those of `sendMessage`.
const PLAIN_ERRORS: [&str; 4] =
    ["Invalid room", "Not a member of this room", "Temporarily unavailable", "Rate limit exceeded"];
const MESSAGE_ERRORS: [&str; 4] = [
    "Invalid message format",
    "Not a member of this room",
    "Message delivery failed",
    "Rate limit exceeded",
];

pub(super) fn one_ack(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let mut report = |at, text| findings.push(Finding { invariant: "one-ack", at, text });
    for (at, connection, id) in &story.stray_acks {
        let device = story.device(*connection);
        report(*at, format!("{device} got an ack with the id {id}, which it never asked for"));
    }
    for sent in &story.sent {
        let Some(is_right) = shape_of(sent) else { continue };
        let device = story.device(sent.connection);
        let what = match sent.id("clientMsgId") {
            Some(id) => format!("{} of {}", sent.event, history.name(&id)),
            None => sent.event.clone(),
        };
        let is_open =
            story.connections.get(&sent.connection).is_some_and(|known| known.closed.is_none());
        match &sent.acks[..] {
            [] if is_open && sent.ack_id.is_some() => {
                report(
                    sent.at,
                    format!(
                        "{what} by {device}, sent at {}, was never acknowledged",
                        moment(sent.at)
                    ),
                );
            }
            [] => {}
            [(at, ack)] => {
                if !is_right(ack) {
                    report(
                        *at,
                        format!(
                            "{what} by {device} was acknowledged {ack}, which is not in the contract"
                        ),
                    );
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

/// Whether an ack is one of the contract's.
type Shape = Box<dyn Fn(&Value) -> bool>;

/// What an ack of this event must look like; `None` for events that the contract does not know.
fn shape_of(sent: &Sent) -> Option<Shape> {
    let is_plain = |ack: &Value| {
        let error = ack["error"].as_str().unwrap_or_default();
        *ack == json!({"success": true})
            || *ack == json!({"success": true, "truncated": true})
            || PLAIN_ERRORS.contains(&error) && *ack == json!({"success": false, "error": error})
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

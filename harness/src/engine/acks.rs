//! The acks of what a step has sent: waited for, counted, compared with what is wanted.

use std::{collections::HashSet, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    steps::{Running, wrong},
    talk::about,
};
use crate::{
    history::{ConnectionId, Sent, Story, shown},
    scenario::AckWanted,
    verdict::Failure,
};

/// When events were sent.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// How many events of all devices had been sent before.
    pub(super) before: usize,
    /// When the device began to send the last of them.
    pub(super) began: Duration,
}

impl Running<'_> {
    /// Waits for the acks of events that were sent after `before`; the longest time that one took: a single one since `began`,
    /// as its device has it, of several each since it left the device's network.
    pub(super) async fn acks(
        &self,
        name: &str,
        event: &str,
        Asked { before, began }: Asked,
        payloads: &[Value],
        wanted: &AckWanted,
        limit: Duration,
    ) -> Result<Duration, Failure> {
        if *wanted == AckWanted::None {
            return Ok(Duration::ZERO);
        }
        let recorder = &self.world.recorder;
        let connection = recorder.look(|story| story.connection_of(name).map(|(id, _)| id));
        // Thousands of messages are told apart by their ids; what has none is compared as it is.
        let id = |payload: &Value| payload["clientMsgId"].as_str().map(str::to_owned);
        let ids: HashSet<String> = payloads.iter().filter_map(id).collect();
        let is_ours = |sent: &&Sent| {
            Some(sent.connection) == connection
                && sent.event == event
                // One that wanted none may be on its way still.
                && sent.ack_id.is_some()
                && match sent.payload["clientMsgId"].as_str() {
                    Some(id) => ids.contains(id),
                    None => payloads.iter().any(|payload| is_same(payload, &sent.payload)),
                }
        };
        let answered = |story: &Story| {
            let ours = story.sent[before..].iter().filter(is_ours).take(payloads.len());
            let (count, open) = ours.fold((0, 0), |(count, open), sent| {
                (count + 1, open + usize::from(sent.acks.is_empty()))
            });
            let is_over = is_closed(story, connection);
            // Whatever the others say: what has failed is best told at once.
            let mut ours = story.sent[before..].iter().filter(is_ours).take(payloads.len());
            let is_answered = count == payloads.len() && open == 0;
            (is_answered || is_over || ours.any(|it| is_wrong(wanted, it))).then_some(())
        };
        let ours = |story: &Story| -> Vec<Sent> {
            story.sent[before..].iter().filter(is_ours).take(payloads.len()).cloned().collect()
        };
        // A driver that waits for each ack by itself has waited already.
        let left = if payloads.len() == 1 {
            (began + limit).saturating_sub(recorder.now())
        } else {
            limit
        };
        recorder.until(Instant::now() + left, answered).await;
        let mut longest = Duration::ZERO;
        let sent = recorder.look(ours);
        let expected = format!("`{event}` of {name} is acknowledged within {}", shown(limit));
        if let Some(sent) = sent.iter().find(|sent| is_wrong(wanted, sent)) {
            return Err(self.wrongly_answered(name, wanted, sent));
        }
        for sent in &sent {
            match sent.acks.first() {
                Some((at, _)) => {
                    let from = if payloads.len() == 1 { began } else { sent.at };
                    longest = longest.max(at.saturating_sub(from));
                    // A driver that waits for each ack by itself has given it more time.
                    if longest > limit {
                        let mut failure =
                            about(wrong(expected, format!("after {}", shown(longest))), name);
                        (failure.limit, failure.late) =
                            (Some(limit), Some(longest.saturating_sub(limit)));
                        return Err(failure);
                    }
                }
                // A connection that was broken on purpose takes its acks with it.
                None if *wanted == AckWanted::Any
                    && recorder.look(|it| is_closed(it, connection)) => {}
                None => return Err(about(wrong(expected, self.no_ack(name)), name)),
            }
        }
        if sent.len() < payloads.len() && *wanted != AckWanted::Any {
            let ended = recorder.look(|story| story.connection_of(name)?.1.ended());
            let seen = match ended {
                Some(at) => format!("its connection ended at {}", shown(at)),
                None => not_arrived(sent.len(), payloads.len()),
            };
            return Err(about(wrong(expected, seen), name));
        }
        Ok(longest)
    }

    fn wrongly_answered(&self, name: &str, wanted: &AckWanted, sent: &Sent) -> Failure {
        let wants = expected_ack(wanted, sent).unwrap_or_default();
        let seen = sent.acks.first().map(|(_, ack)| ack.to_string()).unwrap_or_default();
        let expected = format!("`{}` of {name} is answered {wants}", sent.event);
        let failure = about(wrong(expected, seen), name);
        match sent.id("clientMsgId").map(|id| self.world.recorder.history().name(&id)) {
            Some(message) => about(failure, message.trim_matches('`')),
            None => failure,
        }
    }

    fn no_ack(&self, name: &str) -> String {
        let ended = self.world.recorder.look(|story| story.connection_of(name)?.1.ended());
        match ended {
            Some(at) => format!("no ack; its connection ended at {}", shown(at)),
            None => "no ack".to_owned(),
        }
    }
}

fn not_arrived(arrived: usize, all: usize) -> String {
    match all {
        1 => "it has not even reached the gateway by then".to_owned(),
        all => format!("{arrived} of {all} had reached the gateway by then"),
    }
}

/// Whether two payloads are one value: `1.0` and `1` are one number, and JavaScript writes the latter.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|it| is_same(one, it)))
        }
        _ => one == other,
    }
}

fn is_closed(story: &Story, connection: Option<ConnectionId>) -> bool {
    let known = connection.and_then(|id| story.connections.get(&id));
    known.is_none_or(|known| known.ended().is_some())
}

/// Whether it was answered otherwise than wanted.
fn is_wrong(wanted: &AckWanted, sent: &Sent) -> bool {
    let wants = expected_ack(wanted, sent);
    let seen = sent.acks.first().map(|(_, ack)| ack);
    wants.is_some_and(|wants| seen.is_some_and(|seen| wants != *seen))
}

/// The ack that is wanted, literally; `None`: any.
fn expected_ack(wanted: &AckWanted, sent: &Sent) -> Option<Value> {
    let is_message = sent.event == "sendMessage";
    let id = sent.payload["clientMsgId"].as_str().unwrap_or_default();
    match wanted {
        AckWanted::Any | AckWanted::None => None,
        AckWanted::Accepted => Some(json!({"clientMsgId": id, "status": "ACCEPTED"})),
        AckWanted::Success => Some(json!({"success": true})),
        AckWanted::Truncated => Some(json!({"success": true, "truncated": true})),
        AckWanted::Error(error) if is_message => {
            Some(json!({"clientMsgId": id, "status": "FAILED", "error": error}))
        }
        AckWanted::Error(error) => Some(json!({"success": false, "error": error})),
    }
}

//! What is delivered and what is stored is what was sent: the same words, by the same sender, in the same room, and the
//! same seven fields wherever a message is seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{Finding, frames};
use crate::history::{History, Sent, Story};

/// Sender, room and `clientMsgId`, in lower case: what a message is known by before it has an id.
pub(super) type Key = (String, String, String);

/// One `sendMessage` of a message.
#[derive(Clone, Copy)]
pub(super) struct Draft<'s> {
    /// Where it stands among everything that was sent.
    pub(super) place: usize,
    pub(super) sent: &'s Sent,
}

/// Every `sendMessage` of each message, the first one first.
pub(super) fn drafts(story: &Story) -> BTreeMap<Key, Vec<Draft<'_>>> {
    let mut drafts: BTreeMap<Key, Vec<Draft<'_>>> = BTreeMap::new();
    let sent = story.sent.iter().enumerate().filter(|(_, sent)| sent.event == "sendMessage");
    for (place, sent) in sent {
        if let (Some(sender), Some(room), Some(id)) =
            (story.connections.get(&sent.connection), sent.id("roomId"), sent.id("clientMsgId"))
        {
            let key = (sender.user.to_lowercase(), room, id);
            drafts.entry(key).or_default().push(Draft { place, sent });
        }
    }
    drafts
}

pub(super) fn as_sent(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let drafts = drafts(story);
    let (ids, messages) = (BTreeMap::new(), BTreeMap::new());
    let mut judge = Judge { history, published: &story.published, drafts, ids, messages };
    let mut known = BTreeSet::new();
    let mut report = |at, place: &str, message: &Value, result: Result<(), String>| {
        // Once for each message and mistake, not once for each hearer.
        if let Err(reason) = result
            && known.insert((message["clientMsgId"].to_string(), reason.clone()))
        {
            findings.push(Finding { invariant: "as-sent", at, text: format!("{place} {reason}") });
        }
    };
    for delivery in &story.deliveries {
        let place = format!("{} heard", story.device(delivery.connection));
        let result = judge.message(&delivery.message, delivery.at);
        report(delivery.at, &place, &delivery.message, result);
    }
    for (room, messages) in &story.stored {
        let place = format!("the history of {} tells", history.name(room));
        for message in messages {
            let is_here = message["roomId"].as_str().is_none_or(|it| it.eq_ignore_ascii_case(room));
            let result = if is_here {
                judge.message(message, story.end)
            } else {
                Err(format!("{}, of another room", judge.name(message)))
            };
            report(story.end, &place, message, result);
        }
    }
}

struct Judge<'h> {
    history: &'h History,
    published: &'h [(Duration, Value)],
    drafts: BTreeMap<Key, Vec<Draft<'h>>>,
    /// The `messageId` under which a message was seen first.
    ids: BTreeMap<Key, String>,
    /// The message with an id, as it was seen first.
    messages: BTreeMap<String, Value>,
}

impl Judge<'_> {
    /// What is wrong with a message that was seen at this time.
    fn message(&mut self, message: &Value, at: Duration) -> Result<(), String> {
        if frames::message(message).is_err() {
            return Ok(()); // Its form is wrong, and that is told elsewhere.
        }
        let text = |field: &str| message[field].as_str().unwrap_or_default();
        let id = |field: &str| text(field).to_lowercase();
        let (name, key) = (self.name(message), (id("senderId"), id("roomId"), id("clientMsgId")));
        let is_published =
            |(written, record): &(Duration, Value)| *written <= at && tells(record, message, &key);
        if !self.published.iter().any(is_published) {
            self.was_sent(message, &name, &key, at)?;
        }
        let first = self.messages.entry(id("messageId")).or_insert_with(|| message.clone());
        if first != message {
            let fields = message.as_object().into_iter().flatten();
            let differs = fields.filter(|(field, value)| first[field.as_str()] != **value);
            let fields: Vec<&str> = differs.map(|(field, _)| field.as_str()).collect();
            return Err(format!("{name} with another `{}` than elsewhere", fields.join("`, `")));
        }
        let message_id = self.ids.entry(key).or_insert_with(|| id("messageId"));
        if *message_id != id("messageId") {
            return Err(format!("{name} with another `messageId` than elsewhere"));
        }
        Ok(())
    }

    /// Whether a device has sent it so; what is wrong if not.
    fn was_sent(&self, message: &Value, name: &str, key: &Key, at: Duration) -> Result<(), String> {
        let Some(drafts) = self.drafts.get(key) else {
            let (sender, room) = (self.history.name(&key.0), self.history.name(&key.1));
            return Err(format!("{name} of {sender} in {room}, which they never sent there"));
        };
        let possible = possible(drafts, at);
        if possible.is_empty() {
            return Err(format!("{name}, which was refused or not sent yet"));
        }
        let wrong =
            possible.iter().filter_map(|it| difference(&it.sent.payload, message)).next_back();
        if let Some(field) = wrong
            && possible.iter().all(|it| difference(&it.sent.payload, message).is_some())
        {
            return Err(format!("{name} with another `{field}` than it was sent with"));
        }
        Ok(())
    }

    fn name(&self, message: &Value) -> String {
        self.history.name(message["clientMsgId"].as_str().unwrap_or_default())
    }
}

/// Which of the sends of one message may be the one that is kept, as far as the acks tell: the first one that was not
/// refused, or any that was under way beside it.
pub(super) fn possible<'s>(drafts: &[Draft<'s>], before: Duration) -> Vec<Draft<'s>> {
    let mut possible: Vec<Draft<'s>> = Vec::new();
    for draft in drafts.iter().filter(|draft| draft.sent.at <= before) {
        let sent = draft.sent;
        let is_retry = possible.iter().any(|Draft { sent: earlier, .. }| {
            let accepted = earlier.acks.iter().find(|(_, ack)| ack["status"] == "ACCEPTED");
            accepted.is_some_and(|(at, _)| earlier.connection == sent.connection || *at < sent.at)
        });
        if !sent.is_refused() && !is_retry {
            possible.push(*draft);
        }
    }
    possible
}

/// Whether a record of a topic says just what this message does; `key`: what the message is known by.
fn tells(record: &Value, message: &Value, key: &Key) -> bool {
    let id = |field: &str| record[field].as_str().unwrap_or_default().to_lowercase();
    let kind = record["messageType"].as_str().unwrap_or("TEXT");
    *key == (id("senderId"), id("roomId"), id("clientMsgId"))
        && record["content"] == message["content"]
        && message["type"] == kind
}

/// A field of a message that is not what was sent.
fn difference(sent: &Value, message: &Value) -> Option<&'static str> {
    if sent["content"] != message["content"] {
        return Some("content");
    }
    let default = Value::from("TEXT");
    let kind = if sent["type"].is_null() { &default } else { &sent["type"] };
    if *kind != message["type"] {
        return Some("type");
    }
    (sent["clientMsgId"] != message["clientMsgId"]).then_some("clientMsgId")
}

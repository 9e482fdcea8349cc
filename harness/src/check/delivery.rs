//! Who got which message: everybody who was there for it, once, and nobody else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{Finding, faults::Fault, words::Key};
use crate::history::{Delivery, History, Inside, Sent, Story, moment};

fn key(story: &Story, sent: &Sent) -> Option<Key> {
    let user = story.connections.get(&sent.connection)?.user.to_lowercase();
    Some((user, sent.id("roomId")?, sent.id("clientMsgId")?))
}

/// What was accepted, or is stored, whatever its ack said: each message once, as it was sent first.
fn accepted<'s>(story: &'s Story, stored: &BTreeMap<Key, String>) -> BTreeMap<Key, &'s Sent> {
    let sent = || story.sent.iter().filter(|sent| sent.event == "sendMessage");
    let accepted: BTreeSet<Key> =
        sent().filter(|sent| sent.is_accepted()).filter_map(|sent| key(story, sent)).collect();
    let mut first = BTreeMap::new();
    for sent in sent().filter(|sent| !sent.is_refused()) {
        if let Some(key) =
            key(story, sent).filter(|it| accepted.contains(it) || stored.contains_key(it))
        {
            first.entry(key).or_insert(sent);
        }
    }
    first
}

/// Sender, room and `clientMsgId` of every message that was accepted.
pub(super) fn all_accepted(story: &Story) -> BTreeSet<Key> {
    let accepted = story.sent.iter().filter(|it| it.event == "sendMessage" && it.is_accepted());
    accepted.filter_map(|sent| key(story, sent)).collect()
}

/// Every accepted message is stored, and reaches every connection that was in the room before it and stayed.
pub(super) fn nothing_lost(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let mut heard = BTreeSet::new();
    let mut ids = BTreeMap::new();
    for delivery in &story.deliveries {
        let id = |field| delivery.id(field);
        let key: Key = (id("senderId"), id("roomId"), id("clientMsgId"));
        ids.insert(key.clone(), id("messageId"));
        heard.insert((delivery.connection, key));
    }
    for (room, message) in
        story.stored.iter().flat_map(|(room, all)| all.iter().map(move |it| (room, it)))
    {
        let id = |field: &str| message[field].as_str().unwrap_or_default().to_lowercase();
        ids.insert((id("senderId"), room.clone(), id("clientMsgId")), id("messageId"));
    }
    for (key, sent) in accepted(story, &ids) {
        let (user, room, client_msg_id) = &key;
        let (what, place) = (history.name(client_msg_id), history.name(room));
        if let Some(reason) = story.unreadable.get(room) {
            let text =
                format!("{what} of {place} was accepted and nobody can read the history: {reason}");
            findings.push(Finding { invariant: "nothing-lost", at: sent.at, text });
        }
        if let Some(stored) = story.stored.get(room) {
            let is_it = |message: &&serde_json::Value| {
                let is = |field: &str, id: &str| {
                    message[field].as_str().is_some_and(|it| it.eq_ignore_ascii_case(id))
                };
                is("senderId", user) && is("clientMsgId", client_msg_id)
            };
            let times = stored.iter().filter(is_it).count();
            if times != 1 {
                let text =
                    format!("{what} of {place} was accepted and is stored {times} times, not once");
                findings.push(Finding { invariant: "nothing-lost", at: sent.at, text });
            }
        }
        for inside in story.inside.iter().filter(|inside| inside.room == *room) {
            let id = ids.get(&key);
            if inside.had_begun(sent.at, id.map(String::as_str))
                && !heard.contains(&(inside.connection, key.clone()))
                && inside.leaving.is_none_or(|at| heard_later(story, inside, at, sent, id))
            {
                let begun = match inside.heard_from {
                    None => format!("was in {place} since"),
                    Some(_) => format!("heard older messages of {place} from"),
                };
                let text = format!(
                    "{} {begun} {} and never heard {what}, sent at {} and accepted",
                    story.device(inside.connection),
                    moment(inside.joined),
                    moment(sent.at),
                );
                findings.push(Finding { invariant: "nothing-lost", at: sent.at, text });
            }
        }
    }
}

/// Whether a connection that asked to leave at this time was still there for a newer message than this one, whose `messageId`
/// is `id`.
fn heard_later(
    story: &Story,
    inside: &Inside,
    leaving: Duration,
    sent: &Sent,
    id: Option<&String>,
) -> bool {
    let Some(id) = id else { return false };
    story.deliveries.iter().any(|delivery| {
        delivery.connection == inside.connection
            && delivery.id("roomId") == inside.room
            && delivery.id("messageId") > *id
            // Ids that do not rise say nothing about what came later.
            && delivery.at >= sent.at
            // Nor does what another join has brought, whether or not it was answered.
            && joins(story, delivery).all(|join| join.at < leaving)
            && stay(story, delivery).is_some_and(|stay| std::ptr::eq(stay, inside))
    })
}

/// No connection hears a message twice.
pub(super) fn no_duplicate(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let mut first = BTreeMap::new();
    for delivery in &story.deliveries {
        let id = |field| delivery.id(field);
        for what in [id("messageId"), format!("{} {}", id("senderId"), id("clientMsgId"))] {
            let before = first.insert((delivery.connection, id("roomId"), what), delivery.at);
            if let Some(before) = before {
                let text = format!(
                    "{} heard {} twice: at {} and at {}",
                    story.device(delivery.connection),
                    history.name(&id("clientMsgId")),
                    moment(before),
                    moment(delivery.at),
                );
                findings.push(Finding { invariant: "no-duplicate", at: delivery.at, text });
                break;
            }
        }
    }
}

/// How long the broadcast of a gateway may take from one of its sockets to another.
const BROADCAST: Duration = Duration::from_secs(1);

/// How long a gateway may need after an outage until it knows what has happened meanwhile.
const CATCHING_UP: Duration = Duration::from_secs(5);

/// Nobody hears a room before asking to join it, or after the leave was answered.
pub(super) fn no_leak(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    old_messages(history, story, findings);
    let faults = Fault::all(history);
    for delivery in &story.deliveries {
        let room = delivery.id("roomId");
        // An ack may come after the first message.
        let asked = joins(story, delivery).next_back();
        let has_left = story.inside.iter().any(|inside| {
            inside.connection == delivery.connection
                && inside.room == room
                && inside.left.is_some_and(|left| left < delivery.at)
                && !(inside.is_removed && is_late(story, inside, delivery, &faults))
                // Whoever has asked again since then is in again.
                && inside.leaving.is_none_or(|leaving| asked.is_some_and(|asked| asked.at <= leaving))
        });
        // Who is in already stays in, whatever another join is answered.
        let was_refused = asked.is_some_and(is_turned_down) && stay(story, delivery).is_none();
        if asked.is_none() || has_left || was_refused {
            let text = format!(
                "{} is not in {} and heard {}",
                story.device(delivery.connection),
                history.name(&room),
                history.name(&delivery.id("clientMsgId")),
            );
            findings.push(Finding { invariant: "no-leak", at: delivery.at, text });
        }
    }
}

/// Whether a delivery to who was removed may be right all the same. A device's network may bring late what was said in time;
/// a gateway that was held up, or whose Kafka was, may not know better.
fn is_late(story: &Story, stay: &Inside, delivery: &Delivery, faults: &[Fault<'_>]) -> bool {
    let Some(known) = story.connections.get(&delivery.connection) else { return false };
    let touches = |what: &str| {
        let mut theirs = faults.iter().filter(|fault| fault.what == what);
        theirs.any(|fault| fault.touches(delivery.at, delivery.at, CATCHING_UP))
    };
    let was_said_in_time = || {
        let id = delivery.id("clientMsgId");
        let sent = story.sent.iter().filter(|sent| sent.id("clientMsgId").as_ref() == Some(&id));
        let is_it = |record: &Value| {
            record["clientMsgId"].as_str().is_some_and(|it| it.to_lowercase() == id)
        };
        let written = story.published.iter().filter(|(_, record)| is_it(record));
        let times = sent.map(|sent| sent.at).chain(story.deliveries_of(&id).map(|heard| heard.at));
        let times = times.chain(written.map(|(at, _)| *at));
        times.min().is_some_and(|said| stay.left.is_some_and(|left| said <= left))
    };
    touches(&known.gateway) || touches("kafka") || touches(&known.device) && was_said_in_time()
}

/// Every `joinRoom` for the room of a delivery that its connection had sent by then.
fn joins<'s>(
    story: &'s Story,
    delivery: &'s Delivery,
) -> impl DoubleEndedIterator<Item = &'s Sent> {
    let room = delivery.id("roomId");
    story.sent.iter().filter(move |sent| {
        sent.connection == delivery.connection
            && sent.event == "joinRoom"
            && sent.at <= delivery.at
            && sent.id("roomId").as_deref() == Some(room.as_str())
    })
}

fn is_turned_down(join: &Sent) -> bool {
    join.acks.iter().any(|(_, ack)| ack["success"] == false)
}

/// The stay of a connection in a room that a delivery falls into.
fn stay<'s>(story: &'s Story, delivery: &Delivery) -> Option<&'s Inside> {
    let room = delivery.id("roomId");
    story.inside.iter().rfind(|inside| {
        inside.connection == delivery.connection
            && inside.room == room
            && inside.asked <= delivery.at
            && inside.left.is_none_or(|left| delivery.at <= left)
    })
}

/// Who joins hears what is said from then on, not what others on the same gateway have heard long before.
fn old_messages(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let mut first = BTreeMap::new();
    for delivery in &story.deliveries {
        let Some(known) = story.connections.get(&delivery.connection) else { continue };
        let key = (known.gateway.clone(), delivery.id("messageId"));
        let said = *first.entry(key).or_insert(delivery.at);
        let asked = match stay(story, delivery) {
            Some(inside) if inside.heard_from.is_none() => Some(inside.asked),
            // It was never answered.
            _ => joins(story, delivery).next_back().map(|join| join.at),
        };
        let Some(asked) = asked.filter(|asked| said + BROADCAST < *asked) else { continue };
        // With `after` that is what was asked for.
        let is_resumed = joins(story, delivery).any(|join| {
            join.at >= asked && join.payload.get("after").is_some() && !is_turned_down(join)
        });
        if !is_resumed {
            let text = format!(
                "{} joined {} at {} and heard {}, which was said before, at {}",
                story.device(delivery.connection),
                history.name(&delivery.id("roomId")),
                moment(asked),
                history.name(&delivery.id("clientMsgId")),
                moment(said),
            );
            findings.push(Finding { invariant: "no-leak", at: delivery.at, text });
        }
    }
}

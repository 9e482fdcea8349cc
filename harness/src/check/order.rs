//! One order for all: ids rise at every connection, and each sender's messages come as they were sent.

use std::collections::BTreeMap;

use super::Finding;
use crate::history::{History, Story, moment};

pub(super) fn one_order(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    ids_rise(history, story, findings);
    as_sent(history, story, findings);
}

/// Ids rise in the order of delivery: that is the same order for all.
fn ids_rise(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let mut newest: BTreeMap<_, (String, String)> = BTreeMap::new();
    for delivery in &story.deliveries {
        let (connection, room) = (delivery.connection, delivery.id("roomId"));
        let (id, what) = (delivery.id("messageId"), delivery.id("clientMsgId"));
        if let Some((before, earlier)) = newest.get(&(connection, room.clone()))
            && id < *before
        {
            let text = format!(
                "{} heard {} of {} after {}, whose id is higher",
                story.device(connection),
                history.name(&what),
                history.name(&room),
                history.name(earlier),
            );
            findings.push(Finding { invariant: "one-order", at: delivery.at, text });
        }
        newest.insert((connection, room), (id, what));
    }
}

/// Messages of one connection to one room come in the order of sending. A message that was sent again counts where it
/// was sent first.
fn as_sent(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let mut place = BTreeMap::new();
    for (index, sent) in story.sent.iter().enumerate() {
        let Some(sender) = story.connections.get(&sent.connection) else { continue };
        if let (Some(room), Some(what)) = (sent.id("roomId"), sent.id("clientMsgId")) {
            let key = (sender.user.to_lowercase(), room, what);
            place.entry(key).or_insert((sent.connection, index, sent.at));
        }
    }
    let mut newest: BTreeMap<_, (usize, String)> = BTreeMap::new();
    for delivery in &story.deliveries {
        let (sender, room, what) =
            (delivery.id("senderId"), delivery.id("roomId"), delivery.id("clientMsgId"));
        let Some((from, index, at)) = place.get(&(sender, room.clone(), what.clone())) else {
            continue;
        };
        let key = (delivery.connection, *from, room.clone());
        if let Some((before, earlier)) = newest.get(&key)
            && index < before
        {
            let text = format!(
                "{} heard {} of {} after {}, but {} sent it before, at {}",
                story.device(delivery.connection),
                history.name(&what),
                history.name(&room),
                history.name(earlier),
                story.device(*from),
                moment(*at),
            );
            findings.push(Finding { invariant: "one-order", at: delivery.at, text });
        }
        newest.insert(key, (*index, what));
    }
}

//! One order for all: ids rise at every connection, and each sender's messages come as they were sent.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    Finding,
    words::{self, Draft, Key},
};
use crate::history::{ConnectionId, History, Story, moment};

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

/// Messages of one connection to one room come in the order of sending, at every connection and in the history.
fn as_sent(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let drafts = words::drafts(story);
    let mut heard = BTreeMap::new();
    for delivery in &story.deliveries {
        let key = (delivery.id("senderId"), delivery.id("roomId"), delivery.id("clientMsgId"));
        let sequence = heard
            .entry((delivery.connection, key.1.clone()))
            .or_insert_with(|| Sequence::new(history, story, &drafts));
        if let Some(why) = sequence.next(key, delivery.at) {
            let text = format!("{} heard {why}", story.device(delivery.connection));
            findings.push(Finding { invariant: "one-order", at: delivery.at, text });
        }
    }
    for (room, messages) in &story.stored {
        let id = |message: &Value, field: &str| {
            message[field].as_str().unwrap_or_default().to_lowercase()
        };
        let mut ascending: Vec<&Value> = messages.iter().collect();
        ascending.sort_by_key(|message| id(message, "messageId"));
        let mut sequence = Sequence::new(history, story, &drafts);
        for message in ascending {
            let key = (id(message, "senderId"), room.clone(), id(message, "clientMsgId"));
            if let Some(why) = sequence.next(key, story.end) {
                let text = format!("the history tells {why}");
                findings.push(Finding { invariant: "one-order", at: story.end, text });
            }
        }
    }
}

/// The messages of one room, one after the other.
struct Sequence<'h> {
    history: &'h History,
    story: &'h Story,
    drafts: &'h BTreeMap<Key, Vec<Draft<'h>>>,
    /// Where the newest message of each connection was sent at the earliest, and what it is called.
    newest: BTreeMap<ConnectionId, (usize, String)>,
}

impl<'h> Sequence<'h> {
    fn new(
        history: &'h History,
        story: &'h Story,
        drafts: &'h BTreeMap<Key, Vec<Draft<'h>>>,
    ) -> Self {
        Self { history, story, drafts, newest: BTreeMap::new() }
    }

    /// What is wrong with the place of the next message, seen at this time. Of one that was sent several times any send
    /// that may be the one that is kept counts.
    fn next(&mut self, key: Key, at: Duration) -> Option<String> {
        let possible = words::possible(self.drafts.get(&key)?, at);
        let comes_after = |draft: &&Draft<'_>| {
            let newest = self.newest.get(&draft.sent.connection);
            newest.is_none_or(|(place, _)| *place <= draft.place)
        };
        let fitting = possible.iter().find(comes_after);
        let last = possible.last()?;
        let (_, room, what) = key;
        let from = last.sent.connection;
        let why = match (fitting, self.newest.get(&from)) {
            (None, Some((_, earlier))) => Some(format!(
                "{} of {} after {}, but {} sent it before, at {}",
                self.history.name(&what),
                self.history.name(&room),
                self.history.name(earlier),
                self.story.device(from),
                moment(last.sent.at),
            )),
            _ => None,
        };
        // Of one that two connections have sent nobody knows which of them others must come after.
        if possible.iter().all(|draft| draft.sent.connection == from) {
            let place = fitting.unwrap_or(last).place;
            self.newest.insert(from, (place, what));
        }
        why
    }
}

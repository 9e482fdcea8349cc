//! The distinct messages of a batch: a batch may hold a message and its own retries.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{StoredMessage, rows::whole_milliseconds};
use crate::chat::{Message, MessageId, RoomId, UserId};

/// What retries of one message have in common.
pub(super) type RetryKey = (RoomId, UserId, Uuid);

pub(super) fn retry_key(message: &Message) -> RetryKey {
    (message.room_id, message.sender_id, message.client_msg_id.value())
}

/// The first entry of each message of a batch. Later ones stand for the same row.
#[derive(Debug)]
pub(super) struct Distinct<'a> {
    entries: &'a [Message],
    firsts: Vec<&'a Message>,
    /// For each entry the index of the first one with its key.
    first_of: Vec<usize>,
}

impl<'a> Distinct<'a> {
    pub(super) fn of(entries: &'a [Message]) -> Self {
        let mut seen = HashMap::with_capacity(entries.len());
        let mut firsts = Vec::with_capacity(entries.len());
        let first_of = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                *seen.entry(retry_key(entry)).or_insert_with(|| {
                    firsts.push(entry);
                    index
                })
            })
            .collect();
        Self { entries, firsts, first_of }
    }

    pub(super) fn firsts(&self) -> &[&'a Message] {
        &self.firsts
    }

    /// Those that were neither inserted nor found.
    pub(super) fn unaccounted(
        &self,
        inserted: &HashSet<MessageId>,
        found: &HashMap<RetryKey, Message>,
    ) -> Vec<&'a Message> {
        let is_unaccounted = |first: &&&Message| {
            !inserted.contains(&first.id) && !found.contains_key(&retry_key(first))
        };
        self.firsts.iter().filter(is_unaccounted).copied().collect()
    }

    /// One row for each entry, in their order. `None` when an entry is not accounted for.
    pub(super) fn resolve(
        &self,
        inserted: &HashSet<MessageId>,
        found: &HashMap<RetryKey, Message>,
    ) -> Option<Vec<StoredMessage>> {
        let row_of = |(index, &first): (usize, &usize)| {
            let message = &self.entries[first];
            if let Some(existing) = found.get(&retry_key(message)) {
                return Some(StoredMessage { message: existing.clone(), is_new: false });
            }
            inserted.contains(&message.id).then(|| {
                let created_at = whole_milliseconds(message.created_at);
                let message = Message { created_at, ..message.clone() };
                StoredMessage { message, is_new: index == first }
            })
        };
        self.first_of.iter().enumerate().map(row_of).collect()
    }
}

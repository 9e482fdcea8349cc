//! Pure steps between a batch of records and what the database and the log get.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SubsecRound as _, Utc};

use crate::{
    broker::Incoming,
    chat::{Message, MessageId, RoomId},
    protocol::records::{Produced, RecordError, decode_produced},
    store::StoredMessage,
};

/// A record that is a message.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) record: Incoming,
    pub(super) produced: Produced,
}

/// A batch, read: what is a message, and what is none.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) accepted: Vec<Accepted>,
    pub(super) unreadable: Vec<(Incoming, RecordError)>,
}

pub(super) fn decode(records: Vec<Incoming>) -> Decoded {
    let mut decoded = Decoded::default();
    for record in records {
        match decode_produced(record.value.as_deref()) {
            Ok(produced) => decoded.accepted.push(Accepted { record, produced }),
            Err(error) => decoded.unreadable.push((record, error)),
        }
    }
    decoded
}

/// Rooms of a batch, each once.
pub(super) fn rooms(accepted: &[Accepted]) -> Vec<RoomId> {
    let rooms: HashSet<_> = accepted.iter().map(|one| one.produced.draft.room_id).collect();
    rooms.into_iter().collect()
}

/// The rows to insert, in the order of the batch: ids rise within each room, above its `newest`.
pub(super) fn messages(
    accepted: &[Accepted],
    newest: &HashMap<RoomId, MessageId>,
    now: DateTime<Utc>,
) -> Vec<Message> {
    let created_at = now.trunc_subsecs(3);
    let mut newest = newest.clone();
    accepted
        .iter()
        .map(|Accepted { produced: Produced { sender_id, draft }, .. }| {
            let before = newest.get(&draft.room_id).copied();
            let id = MessageId::after(before, now);
            newest.insert(draft.room_id, id);
            Message {
                id,
                room_id: draft.room_id,
                sender_id: *sender_id,
                client_msg_id: draft.client_msg_id.clone(),
                kind: draft.kind,
                content: draft.content.clone(),
                created_at,
            }
        })
        .collect()
}

/// What follows from a stored batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// To be published, in order, each once.
    pub(super) to_publish: Vec<Message>,
    /// Rows that were new.
    pub(super) new: usize,
    /// A record below the position made a new row: the log began anew, or the database is an older one.
    pub(super) began_anew: bool,
}

/// Below the `position` it was stored for lies a batch that was stored before and perhaps not published: publish
/// again. At or above it a row that is not new is a client's retry: published before, or about to be.
pub(super) fn outcome(
    offsets: impl Iterator<Item = i64>,
    stored: Vec<StoredMessage>,
    position: Option<i64>,
) -> Outcome {
    let mut published = HashSet::new();
    let mut outcome = Outcome { to_publish: Vec::new(), new: 0, began_anew: false };
    for (offset, StoredMessage { message, is_new }) in offsets.zip(stored) {
        let is_below = position.is_some_and(|position| offset < position);
        outcome.began_anew |= is_below && is_new;
        outcome.new += usize::from(is_new);
        if (is_below || is_new) && published.insert(message.id) {
            outcome.to_publish.push(message);
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::chat::{ClientMsgId, Content, Draft, MessageKind, UserId};

    fn accepted(room: u128, n: u128) -> Accepted {
        let uuid = |n: u128| Uuid::from_u128(0x8000_0000_0000_0000 | n);
        let record = Incoming { partition: 0, offset: 0, key: None, value: None };
        let produced = Produced {
            sender_id: UserId(uuid(1)),
            draft: Draft {
                room_id: RoomId(uuid(room)),
                client_msg_id: ClientMsgId::parse(&uuid(n).to_string()).unwrap(),
                kind: MessageKind::Text,
                content: Content::new("hi".to_owned()).unwrap(),
            },
        };
        Accepted { record, produced }
    }

    fn stored(n: u128, is_new: bool) -> StoredMessage {
        let mut message = messages(&[accepted(1, n)], &HashMap::new(), Utc::now()).remove(0);
        message.id = MessageId(Uuid::from_u128(n));
        StoredMessage { message, is_new }
    }

    fn ids(outcome: &Outcome) -> Vec<u128> {
        outcome.to_publish.iter().map(|message| message.id.0.as_u128()).collect()
    }

    #[test]
    fn ids_rise_within_each_room_from_its_newest_on() {
        let batch: Vec<_> = (0..6).map(|n| accepted(u128::from(n % 2 == 0), 10 + n)).collect();
        let ahead = MessageId::after(None, Utc::now() + chrono::Duration::hours(1));
        let room = batch[0].produced.draft.room_id;
        let rows = messages(&batch, &HashMap::from([(room, ahead)]), Utc::now());
        let of_room: Vec<_> = rows.iter().filter(|row| row.room_id == room).map(|r| r.id).collect();
        assert!(ahead < of_room[0] && of_room.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_retry_is_not_published_and_a_half_finished_batch_is_published_again() {
        let rows = || vec![stored(1, false), stored(2, true), stored(3, false)];
        assert_eq!(ids(&outcome(10..13, rows(), Some(10))), [2]);
        assert_eq!(ids(&outcome(10..13, rows(), None)), [2]);
        assert_eq!(ids(&outcome(10..13, rows(), Some(11))), [1, 2]);
        let again =
            outcome(10..13, vec![stored(1, false), stored(1, false), stored(3, false)], Some(13));
        assert_eq!((ids(&again), again.began_anew), (vec![1, 3], false));
    }

    #[test]
    fn a_new_row_below_the_position_means_that_the_log_began_anew() {
        assert!(outcome(0..1, vec![stored(1, true)], Some(5)).began_anew);
        assert!(!outcome(5..6, vec![stored(1, true)], Some(5)).began_anew);
    }
}

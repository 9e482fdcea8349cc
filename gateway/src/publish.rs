//! What the gateway puts into the log: permitted messages and membership changes.
//!
//! Takes a [`Permitted`] draft and nothing less. Refuses to wait: the caller gets a report to await.

use std::sync::Arc;

use chrono::Utc;

use crate::{
    authorise::Permitted,
    broker::{BrokerError, Outgoing, Publisher, Report},
    chat::Draft,
    protocol::records::{MembershipChanged, encode_membership, encode_produced},
    store::OutboxEntry,
};

/// The way into the log. Clones share one producer, hence one order.
#[derive(Clone, Debug)]
pub struct Publishing {
    pub publisher: Arc<dyn Publisher>,
    pub messages: Arc<str>,
    pub memberships: Arc<str>,
}

impl Publishing {
    /// Queues a message. The key is the room: its messages share a partition and keep the order of these calls.
    pub fn message(&self, draft: &Permitted<Draft>) -> Result<Report, BrokerError> {
        let value = encode_produced(draft.user(), draft.get(), Utc::now());
        self.publisher.publish(Outgoing {
            topic: Arc::clone(&self.messages),
            key: Some(draft.get().room_id.to_string().into()),
            value: Some(value.into()),
            headers: Vec::new(),
        })
    }

    /// Queues a committed membership change.
    pub fn membership(&self, entry: &OutboxEntry) -> Result<Report, BrokerError> {
        self.publisher.publish(membership_record(&self.memberships, entry))
    }
}

/// The record of a committed membership change.
pub fn membership_record(topic: &Arc<str>, entry: &OutboxEntry) -> Outgoing {
    let OutboxEntry { room_id, user_id, change, at, .. } = *entry;
    Outgoing {
        topic: Arc::clone(topic),
        key: Some(room_id.to_string().into()),
        value: Some(encode_membership(MembershipChanged { room_id, user_id, change }, at).into()),
        headers: Vec::new(),
    }
}

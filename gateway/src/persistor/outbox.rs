//! Membership changes that their gateway committed and did not get to publish.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::sleep;

use super::{Persistor, publish::Ordered};
use crate::{
    broker::Outgoing,
    protocol::records::{MembershipChanged, encode_membership},
};

/// Changes that are published at a time.
const CHANGES_MAX: u32 = 100;

/// Looks again and again; a change that is published twice does no harm.
pub(super) async fn run(persistor: Persistor, publisher: Ordered) {
    let age = persistor.settings.outbox_age;
    loop {
        sleep(age / 2).await;
        let entries = match persistor.store.outbox(age, CHANGES_MAX).await {
            Ok(entries) if entries.is_empty() => continue,
            Ok(entries) => entries,
            Err(error) => {
                tracing::debug!(%error, "cannot read the outbox now: {error}");
                continue;
            }
        };
        let records: Vec<_> = entries
            .iter()
            .map(|entry| Outgoing {
                topic: Arc::clone(&persistor.topics.memberships),
                key: Bytes::from(entry.room_id.to_string()),
                value: encode_membership(
                    MembershipChanged {
                        room_id: entry.room_id,
                        user_id: entry.user_id,
                        change: entry.change,
                    },
                    entry.at,
                )
                .into(),
                headers: Vec::new(),
            })
            .collect();
        let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        if let Err(error) = publisher.publish(&records).await {
            tracing::error!(%error, "cannot publish membership changes: {error}");
        } else if let Err(error) = persistor.store.outbox_remove(&ids).await {
            tracing::debug!(%error, "membership changes will be published twice: {error}");
        }
    }
}

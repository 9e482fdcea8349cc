//! Membership changes that their gateway committed and did not get to publish.

use tokio::time::sleep;

use super::{Persistor, publish::Ordered};
use crate::{publish::membership_record, store::StoreError};

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
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::debug!(%error, "cannot read the outbox now: {error}");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read: {error}");
                continue;
            }
        };
        let topic = &persistor.topics.memberships;
        let records: Vec<_> = entries.iter().map(|entry| membership_record(topic, entry)).collect();
        let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        for (_, reason) in publisher.publish(&records).await {
            tracing::error!(
                "a membership change is refused, its gateways learn of it late: {reason}"
            );
        }
        if let Err(error) = persistor.store.outbox_remove(&ids).await {
            tracing::debug!(%error, "membership changes will be published twice: {error}");
        }
    }
}

//! Membership changes that their gateway committed and did not get to publish.

use tokio::time::sleep;

use super::{Persistor, publish::Ordered};
use crate::publish::membership_record;

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
        let topic = &persistor.topics.memberships;
        let records: Vec<_> = entries.iter().map(|entry| membership_record(topic, entry)).collect();
        let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        if let Err(error) = publisher.publish(&records).await {
            tracing::error!(%error, "cannot publish membership changes: {error}");
        } else if let Err(error) = persistor.store.outbox_remove(&ids).await {
            tracing::debug!(%error, "membership changes will be published twice: {error}");
        }
    }
}

//! Commits, pauses and lag of a group's partitions: what the tasks of the partitions share.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
};

use super::{REQUEST_TIMEOUT, blocking, broker_error, membership::Membership};
use crate::broker::{BrokerError, Committer};

pub(super) struct KafkaCommitter {
    pub(super) membership: Arc<Membership>,
    pub(super) topic: String,
}

impl std::fmt::Debug for KafkaCommitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaCommitter").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl KafkaCommitter {
    async fn set_paused(&self, partition: i32, is_paused: bool) {
        let Some(consumer) = self.membership.consumer.lock().upgrade() else { return };
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        let set = blocking(move || {
            let set = if is_paused { consumer.pause(&list) } else { consumer.resume(&list) };
            set.map_err(|error| broker_error(&error))
        });
        if let Err(error) = set.await {
            tracing::debug!(%error, "partition {partition} is not ours any more: {error}");
        }
    }
}

#[async_trait]
impl Committer for KafkaCommitter {
    async fn commit(&self, partition: i32, next: i64) -> Result<(), BrokerError> {
        let not_ours = || BrokerError::Refused(format!("partition {partition} is not ours"));
        if !self.membership.assigned.lock().contains_key(&partition) {
            return Err(not_ours());
        }
        let consumer = self.membership.consumer.lock().upgrade().ok_or_else(not_ours)?;
        let topic = self.topic.clone();
        blocking(move || {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&topic, partition, Offset::Offset(next))
                .and_then(|()| consumer.commit(&list, CommitMode::Sync))
                .map_err(|error| broker_error(&error))
        })
        .await?;
        if let Some(committed) = self.membership.assigned.lock().get_mut(&partition) {
            *committed = Some(next);
        }
        Ok(())
    }

    fn commit_later(&self, partition: i32, next: i64) {
        let Some(consumer) = self.membership.consumer.lock().upgrade() else { return };
        if let Some(committed) = self.membership.assigned.lock().get_mut(&partition) {
            *committed = Some(next);
        } else {
            return;
        }
        let mut list = TopicPartitionList::new();
        let committed = list
            .add_partition_offset(&self.topic, partition, Offset::Offset(next))
            .and_then(|()| consumer.commit(&list, CommitMode::Async));
        if let Err(error) = committed {
            tracing::debug!(%error, "the next commit makes up for this one: {error}");
        }
    }

    async fn pause(&self, partition: i32) {
        self.set_paused(partition, true).await;
    }

    async fn resume(&self, partition: i32) {
        self.set_paused(partition, false).await;
    }

    fn leave(&self) {
        self.membership.is_leaving.store(true, Ordering::Release);
    }

    async fn lag(&self) -> BTreeMap<i32, i64> {
        let assigned = self.membership.assigned.lock().clone();
        let (Some(consumer), topic) =
            (self.membership.consumer.lock().upgrade(), self.topic.clone())
        else {
            return BTreeMap::new();
        };
        let measured = blocking(move || {
            let mut lag = BTreeMap::new();
            for (partition, committed) in assigned {
                let watermarks = consumer.fetch_watermarks(&topic, partition, REQUEST_TIMEOUT);
                let (low, high) = watermarks.map_err(|error| broker_error(&error))?;
                if committed.is_some_and(|committed| committed > high) {
                    // Its leader epoch is the old log's: it would wait for ever for records that are there.
                    consumer.context().health.strand("reads a log that has begun anew");
                }
                lag.insert(partition, (high - committed.unwrap_or(low).max(low)).max(0));
            }
            Ok(lag)
        });
        measured.await.unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot measure the lag now: {error}");
            BTreeMap::new()
        })
    }
}

//! What a member of a consumer group is given and has to give back: the rebalance callback, and who waits for it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaRespErr,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    REQUEST_TIMEOUT, broker_error,
    client::{self, Health},
};
use crate::broker::{Assigned, BrokerError, GroupEvent, Start};

/// Between two questions for committed offsets while the coordinator is away: first and longest wait.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(50);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(2);

/// How long one consumer asks for committed offsets: one that has forgotten every broker never gets them.
const ASK_LIMIT: Duration = Duration::from_secs(30);

/// What the callback, the thread and the committer share.
pub(super) struct Membership {
    pub(super) events: mpsc::Sender<Option<GroupEvent>>,
    /// The partitions that are ours, with the next offset that is not committed, if one was.
    pub(super) assigned: Mutex<BTreeMap<i32, Option<i64>>>,
    /// The consumer of now. Weak: it ends with its thread, not with whoever forgot a handle.
    pub(super) consumer: Mutex<Weak<Consumer>>,
    pub(super) is_leaving: AtomicBool,
}

#[derive(Clone)]
pub(super) struct Context {
    membership: Arc<Membership>,
    pub(super) health: Health,
    /// Set by the callback: what was fetched before is of an assignment that has ended.
    pub(super) is_rebalanced: Arc<AtomicBool>,
    /// Another consumer has taken over: what happens to this one concerns nobody.
    is_abandoned: Arc<AtomicBool>,
}

pub(super) type Consumer = BaseConsumer<Context>;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.complain(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.health.look_at(&statistics);
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: Result<(), KafkaError>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            // Not lost: what is stored and published is recognised when it comes again.
            tracing::warn!(%error, "could not commit offsets: {error}");
        }
    }

    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.is_rebalanced.store(true, Ordering::Release);
        let is_abandoned = self.is_abandoned.load(Ordering::Acquire);
        let result = if is_abandoned {
            consumer.unassign()
        } else if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.membership.assign(consumer, list)
        } else {
            let elements = list.elements();
            let partitions = elements.iter().map(TopicPartitionListElem::partition).collect();
            self.membership.revoke(partitions);
            consumer.unassign()
        };
        if let Err(error) = result {
            tracing::error!(%error, "cannot take over or give back partitions: {error}");
            if !self.membership.is_ending() {
                self.health.strand("cannot take over or give back partitions");
            }
        }
    }
}

impl Membership {
    pub(super) fn new(events: mpsc::Sender<Option<GroupEvent>>) -> Self {
        Self {
            events,
            assigned: Mutex::default(),
            consumer: Mutex::default(),
            is_leaving: AtomicBool::new(false),
        }
    }

    /// Makes the consumer of now.
    pub(super) fn join(
        self: &Arc<Self>,
        config: &ClientConfig,
        topic: &str,
    ) -> Result<Arc<Consumer>, BrokerError> {
        let context = Context {
            membership: Arc::clone(self),
            health: Health::default(),
            is_rebalanced: Arc::default(),
            is_abandoned: Arc::default(),
        };
        let consumer: Consumer = config
            .create_with_context(context)
            .map_err(|error| BrokerError::Refused(error.to_string()))?;
        consumer.subscribe(&[topic]).map_err(|error| broker_error(&error))?;
        let consumer = Arc::new(consumer);
        *self.consumer.lock() = Arc::downgrade(&consumer);
        Ok(consumer)
    }

    /// Joins anew with another consumer, once the worker has let go of what this one had.
    pub(super) fn replace(
        self: &Arc<Self>,
        consumer: Arc<Consumer>,
        config: &ClientConfig,
        topic: &str,
    ) -> Arc<Consumer> {
        consumer.context().is_abandoned.store(true, Ordering::Release);
        let partitions: Vec<_> = self.assigned.lock().keys().copied().collect();
        self.revoke(partitions);
        match self.join(config, topic) {
            Ok(new) => {
                client::end_apart(consumer);
                new
            }
            Err(error) => {
                tracing::error!(%error, "cannot make a new Kafka consumer: {error}");
                thread::sleep(ASK_AGAIN_MAX);
                consumer
            }
        }
    }

    fn assign(
        &self,
        consumer: &BaseConsumer<Context>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        let committed = self.committed(consumer, list)?;
        let partitions: Vec<_> = committed
            .iter()
            .map(|(partition, committed)| Assigned { partition: *partition, committed: *committed })
            .collect();
        let (sender, start) = oneshot::channel();
        let event = GroupEvent::Assigned { partitions, start: sender };
        // Without an answer nothing is read: the worker is about to leave.
        let starts = match self.events.blocking_send(Some(event)) {
            Ok(()) => start.blocking_recv().unwrap_or_default(),
            Err(_) => BTreeMap::new(),
        };
        let mut positioned = TopicPartitionList::new();
        for element in list.elements() {
            let Some(start) = starts.get(&element.partition()) else { continue };
            let offset = match start {
                Start::Earliest => Offset::Beginning,
                Start::At(offset) => Offset::Offset(*offset),
            };
            positioned.add_partition_offset(element.topic(), element.partition(), offset)?;
        }
        *self.assigned.lock() = committed;
        consumer.assign(&positioned)?;
        // One that was paused when it was given back would come back paused.
        consumer.resume(&positioned)
    }

    /// The committed offsets, waiting for the coordinator for a while.
    fn committed(
        &self,
        consumer: &BaseConsumer<Context>,
        list: &TopicPartitionList,
    ) -> Result<BTreeMap<i32, Option<i64>>, KafkaError> {
        let (mut wait, deadline) = (ASK_AGAIN_MIN, Instant::now() + ASK_LIMIT);
        loop {
            match consumer.committed_offsets(list.clone(), REQUEST_TIMEOUT) {
                Ok(committed) => {
                    return Ok(committed
                        .elements()
                        .iter()
                        .map(|element| {
                            let Offset::Offset(offset) = element.offset() else {
                                return (element.partition(), None);
                            };
                            (element.partition(), Some(offset))
                        })
                        .collect());
                }
                Err(error) if self.is_ending() || Instant::now() > deadline => return Err(error),
                Err(error) => {
                    if wait == ASK_AGAIN_MIN {
                        tracing::warn!(%error, "asking again for committed offsets: {error}");
                    }
                    thread::sleep(wait);
                    wait = (wait * 2).min(ASK_AGAIN_MAX);
                }
            }
        }
    }

    /// Whether nobody wants partitions any more.
    pub(super) fn is_ending(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire) || self.events.is_closed()
    }

    fn revoke(&self, partitions: Vec<i32>) {
        let (sender, done) = oneshot::channel();
        let event = GroupEvent::Revoked { partitions, done: sender };
        if self.events.blocking_send(Some(event)).is_ok() && done.blocking_recv().is_err() {
            tracing::debug!("partitions are given back without an answer");
        }
        self.assigned.lock().clear();
    }
}

//! A member of a consumer group: a thread polls, the rebalance callback waits for the worker's answers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::KafkaError,
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaRespErr,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    KafkaSettings, REQUEST_TIMEOUT, blocking, broker_error,
    client::{self, Health},
    tail::incoming,
};
use crate::broker::{Assigned, BrokerError, Committer, Group, GroupEvent, Incoming, Start};

/// Records handed over at a time, of all partitions together.
const BATCH_RECORDS_MAX: usize = 500;

/// Events that wait to be taken.
const EVENTS_MAX: usize = 4;

/// How long the thread sleeps at most, so that it notices `leave`.
const POLL: Duration = Duration::from_millis(50);

/// How long leaving may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// A member that does not poll for so long loses its partitions: only one that hangs does not, for records that cannot
/// be stored do not hold the polling up. The coordinator waits as long for members that a rebalance calls back.
const MAX_POLL_INTERVAL: Duration = Duration::from_mins(1);

/// Between two questions for committed offsets while the coordinator is away: first and longest wait.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(50);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct KafkaGroup {
    /// `None`: the group was left.
    events: mpsc::Receiver<Option<GroupEvent>>,
    committer: Arc<KafkaCommitter>,
}

/// What the callback, the thread and the committer share.
struct Membership {
    events: mpsc::Sender<Option<GroupEvent>>,
    /// The partitions that are ours, with the next offset that is not committed, if one was.
    assigned: Mutex<BTreeMap<i32, Option<i64>>>,
    /// The consumer of now. Weak: it ends with its thread, not with whoever forgot a handle.
    consumer: Mutex<Weak<Consumer>>,
    is_leaving: AtomicBool,
}

#[derive(Clone)]
struct Context {
    membership: Arc<Membership>,
    health: Health,
    /// Set by the callback: what was fetched before is of an assignment that has ended.
    is_rebalanced: Arc<AtomicBool>,
    /// Another consumer has taken over: what happens to this one concerns nobody.
    is_abandoned: Arc<AtomicBool>,
}

type Consumer = BaseConsumer<Context>;

impl KafkaGroup {
    pub(super) fn join(
        settings: &KafkaSettings,
        topic: &str,
        group: &str,
    ) -> Result<Self, BrokerError> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let membership = Arc::new(Membership {
            events: sender,
            assigned: Mutex::default(),
            consumer: Mutex::default(),
            is_leaving: AtomicBool::new(false),
        });
        let mut config = settings.client_config();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", settings.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", (settings.session_timeout.as_millis() / 3).to_string())
            .set("max.poll.interval.ms", MAX_POLL_INTERVAL.as_millis().to_string());
        let topic = topic.to_owned();
        let committer =
            KafkaCommitter { membership: Arc::clone(&membership), topic: topic.clone() };
        let consumer = membership.consumer(&config, &topic)?;
        // Ends after `leave`, or when the receiver is dropped.
        thread::Builder::new()
            .name(format!("group {group}"))
            .spawn(move || run(&membership, &config, &topic, consumer))
            .map_err(|error| BrokerError::Unavailable(error.to_string()))?;
        Ok(Self { events, committer: Arc::new(committer) })
    }
}

#[async_trait]
impl Group for KafkaGroup {
    async fn next(&mut self) -> Option<GroupEvent> {
        self.events.recv().await.flatten()
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::<KafkaCommitter>::clone(&self.committer)
    }
}

fn run(
    membership: &Arc<Membership>,
    config: &ClientConfig,
    topic: &str,
    mut consumer: Arc<Consumer>,
) {
    while !membership.is_leaving.load(Ordering::Acquire) && !membership.events.is_closed() {
        for (partition, records) in poll(&consumer) {
            let event = GroupEvent::Records { partition, records };
            if membership.events.blocking_send(Some(event)).is_err() {
                break;
            }
        }
        if consumer.context().health.is_stranded() {
            consumer = membership.replace(consumer, config, topic);
        }
    }
    consumer.unsubscribe();
    let deadline = Instant::now() + LEAVE_LIMIT;
    // The callback that gives the partitions back runs in here.
    while !membership.assigned.lock().is_empty() && Instant::now() < deadline {
        drop(consumer.poll(POLL));
    }
    if membership.events.blocking_send(None).is_err() {
        tracing::debug!("nobody waited for the end of the group membership");
    }
}

/// What has come, up to a batch. What came before a rebalance comes again, from where the new assignment begins.
fn poll(consumer: &Consumer) -> BTreeMap<i32, Vec<Incoming>> {
    let mut records = BTreeMap::<i32, Vec<Incoming>>::new();
    let mut wait = POLL;
    for _ in 0..BATCH_RECORDS_MAX {
        match consumer.poll(wait) {
            None => break,
            Some(Ok(message)) => {
                records.entry(message.partition()).or_default().push(incoming(&message));
            }
            Some(Err(error)) => {
                let reason = format!("reading as a group: {error}");
                consumer.context().health.complain(&error, &reason);
            }
        }
        wait = Duration::ZERO;
    }
    if consumer.context().is_rebalanced.swap(false, Ordering::AcqRel) {
        records.clear();
    }
    records
}

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
        }
    }
}

impl Membership {
    /// Makes the consumer of now.
    fn consumer(
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
    fn replace(
        self: &Arc<Self>,
        consumer: Arc<Consumer>,
        config: &ClientConfig,
        topic: &str,
    ) -> Arc<Consumer> {
        consumer.context().is_abandoned.store(true, Ordering::Release);
        let partitions: Vec<_> = self.assigned.lock().keys().copied().collect();
        self.revoke(partitions);
        match self.consumer(config, topic) {
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

    /// The committed offsets, waiting for the coordinator as long as the group is ours.
    fn committed(
        &self,
        consumer: &BaseConsumer<Context>,
        list: &TopicPartitionList,
    ) -> Result<BTreeMap<i32, Option<i64>>, KafkaError> {
        let mut wait = ASK_AGAIN_MIN;
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
                Err(error) if self.is_leaving.load(Ordering::Acquire) => return Err(error),
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

    fn revoke(&self, partitions: Vec<i32>) {
        let (sender, done) = oneshot::channel();
        let event = GroupEvent::Revoked { partitions, done: sender };
        if self.events.blocking_send(Some(event)).is_ok() && done.blocking_recv().is_err() {
            tracing::debug!("partitions are given back without an answer");
        }
        self.assigned.lock().clear();
    }
}

struct KafkaCommitter {
    membership: Arc<Membership>,
    topic: String,
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
                lag.insert(partition, high - committed.unwrap_or(low).max(low));
            }
            Ok(lag)
        });
        measured.await.unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot measure the lag now: {error}");
            BTreeMap::new()
        })
    }
}

//! A member of a consumer group: a thread polls, the rebalance callback waits for the worker's answers.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rdkafka::{ClientConfig, Message as _, consumer::Consumer as _};
use tokio::sync::mpsc;

use super::{
    KafkaSettings,
    committer::KafkaCommitter,
    membership::{Consumer, Membership},
    tail::incoming,
};
use crate::broker::{BrokerError, Committer, Group, GroupEvent, Incoming};

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

#[derive(Debug)]
pub(super) struct KafkaGroup {
    /// `None`: the group was left.
    events: mpsc::Receiver<Option<GroupEvent>>,
    committer: Arc<KafkaCommitter>,
}

impl KafkaGroup {
    pub(super) fn join(
        settings: &KafkaSettings,
        topic: &str,
        group: &str,
    ) -> Result<Self, BrokerError> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let membership = Arc::new(Membership::new(sender));
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
        let consumer = membership.join(&config, &topic)?;
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
    while !membership.is_ending() {
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

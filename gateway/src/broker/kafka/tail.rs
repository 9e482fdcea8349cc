//! Reads every partition of a topic from its end on, in no group.

use std::{sync::Arc, thread, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use tokio::sync::mpsc;

use super::{
    KafkaSettings, blocking, broker_error,
    client::{self, Health, Watched},
    topics,
    watch::{Change, Positions, Watch},
};
use crate::broker::{BrokerError, Incoming, Tail, TailEvent};

/// Records handed over at a time.
const BATCH_RECORDS_MAX: usize = 500;

/// Batches that wait to be taken.
const BATCHES_MAX: usize = 4;

/// How long the thread sleeps at most, so that it notices when nobody reads any more.
const POLL: Duration = Duration::from_millis(100);

/// Between attempts to ask a broker that is away.
const RETRY: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct KafkaTail {
    events: mpsc::Receiver<TailEvent>,
}

impl KafkaTail {
    pub(super) async fn new(settings: &KafkaSettings, topic: &str) -> Result<Self, BrokerError> {
        let mut config = settings.client_config();
        // A group is asked for by librdkafka; nothing is ever committed.
        config
            .set("group.id", format!("{}-tail", settings.client_id))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error");
        let (consumer, health) = consumer(&config)?;
        let (settings, topic) = (settings.clone(), topic.to_owned());
        let reader = blocking(move || {
            let ends = topics::watermarks(consumer.client(), &topic)?;
            let ends = ends.into_iter().map(|(partition, (_, high))| (partition, high));
            let next = Positions::new(Mutex::new(ends.collect()));
            let watch = Watch::begin(&settings, &topic, Arc::clone(&next))?;
            let reader = Reader { config, consumer, health, topic, next, watch };
            reader.assign()?;
            Ok(reader)
        })
        .await?;
        let (sender, events) = mpsc::channel(BATCHES_MAX);
        // Ends when the receiver is dropped. Detached: the end of a consumer may wait for the network.
        thread::Builder::new()
            .name(format!("tail {}", reader.topic))
            .spawn(move || reader.run(&sender))
            .map_err(|error| BrokerError::Unavailable(error.to_string()))?;
        Ok(Self { events })
    }
}

#[async_trait]
impl Tail for KafkaTail {
    async fn next(&mut self) -> TailEvent {
        match self.events.recv().await {
            Some(event) => event,
            // The thread ends after its receiver, which is here.
            None => std::future::pending().await,
        }
    }
}

fn consumer(config: &ClientConfig) -> Result<(BaseConsumer<Watched>, Health), BrokerError> {
    let health = Health::default();
    let consumer = config.create_with_context(Watched(health.clone()));
    Ok((consumer.map_err(|error| BrokerError::Refused(error.to_string()))?, health))
}

struct Reader {
    config: ClientConfig,
    consumer: BaseConsumer<Watched>,
    health: Health,
    topic: String,
    /// Where it has come to.
    next: Positions,
    watch: Watch,
}

impl Reader {
    fn run(mut self, events: &mpsc::Sender<TailEvent>) {
        while !events.is_closed() {
            let (records, error) = self.poll();
            if !records.is_empty() && events.blocking_send(TailEvent::Records(records)).is_err() {
                return;
            }
            let mut is_lost = error.as_ref().is_some_and(is_out_of_range);
            let changes: Vec<Change> = self.watch.changes().collect();
            for change in changes {
                match change {
                    Change::Added(partitions) => self.add(&partitions),
                    Change::BegunAnew => {
                        // The consumer would wait for ever: its leader epochs are the old log's.
                        self.health.strand("reads a log that has begun anew");
                        is_lost = true;
                    }
                }
            }
            if self.health.is_stranded() {
                self.replace();
            }
            if is_lost {
                for partition in self.reposition(events) {
                    if events.blocking_send(TailEvent::Gap { partition }).is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// What has come, up to a batch, and what went wrong after it.
    fn poll(&mut self) -> (Vec<Incoming>, Option<KafkaError>) {
        let mut records = Vec::new();
        let mut wait = POLL;
        while records.len() < BATCH_RECORDS_MAX {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    self.next.lock().insert(message.partition(), message.offset() + 1);
                    records.push(incoming(&message));
                }
                Some(Err(error)) => {
                    self.health.complain(&error, &format!("reading {}: {error}", self.topic));
                    return (records, Some(error));
                }
            }
            wait = Duration::ZERO;
        }
        (records, None)
    }

    /// Goes on with another consumer, from where this one was.
    fn replace(&mut self) {
        match consumer(&self.config) {
            Ok((consumer, health)) => {
                client::end_apart(std::mem::replace(&mut self.consumer, consumer));
                self.health = health;
                if let Err(error) = self.assign() {
                    tracing::error!(%error, "cannot go on reading {}: {error}", self.topic);
                }
            }
            Err(error) => tracing::error!(%error, "cannot make a new Kafka consumer: {error}"),
        }
    }

    /// Goes on at the end of those partitions whose next record is gone, or at the beginning of those that have begun anew.
    /// Returns them.
    fn reposition(&mut self, events: &mpsc::Sender<TailEvent>) -> Vec<i32> {
        while !events.is_closed() {
            let watermarks = topics::watermarks(self.consumer.client(), &self.topic);
            let moved = watermarks.and_then(|watermarks| {
                let mut moved = Vec::new();
                for (partition, (low, high)) in watermarks {
                    let mut next = self.next.lock();
                    let next = next.entry(partition).or_insert(low);
                    if !(low..=high).contains(next) {
                        *next = if *next > high { low } else { high };
                        moved.push(partition);
                    }
                }
                self.assign()?;
                Ok(moved)
            });
            match moved {
                Ok(moved) => return moved,
                Err(error) => {
                    tracing::warn!(%error, "cannot find the end of {}: {error}", self.topic);
                }
            }
            thread::sleep(RETRY);
        }
        Vec::new()
    }

    /// A partition that was added is read from its beginning: nothing of it was seen yet.
    fn add(&mut self, partitions: &[i32]) {
        let mut next = self.next.lock();
        let new: Vec<i32> =
            partitions.iter().copied().filter(|partition| !next.contains_key(partition)).collect();
        next.extend(new.iter().map(|partition| (*partition, 0)));
        drop(next);
        if new.is_empty() {
            return;
        }
        tracing::info!("reads new partitions of {}: {new:?}", self.topic);
        if let Err(error) = self.assign() {
            tracing::warn!(%error, "cannot read new partitions of {} yet: {error}", self.topic);
            // The watch will find them again.
            self.next.lock().retain(|partition, _| !new.contains(partition));
        }
    }

    fn assign(&self) -> Result<(), BrokerError> {
        let mut list = TopicPartitionList::new();
        for (partition, next) in &*self.next.lock() {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*next))
                .map_err(|error| broker_error(&error))?;
        }
        self.consumer.assign(&list).map_err(|error| broker_error(&error))
    }
}

fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
    )
}

pub(super) fn incoming(message: &BorrowedMessage<'_>) -> Incoming {
    Incoming {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
    }
}

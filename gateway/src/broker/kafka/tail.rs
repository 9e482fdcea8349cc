//! Reads every partition of a topic from its end on, in no group.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
    metadata::{MetadataPartition, MetadataTopic},
};
use tokio::sync::mpsc;

use super::{
    KafkaSettings, REQUEST_TIMEOUT, blocking, broker_error,
    client::{self, Health, Watched},
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
        let topic_name = topic.to_owned();
        let mut reader =
            Reader { config, consumer, health, topic: topic_name, next: BTreeMap::new() };
        let refresh = settings.topic_refresh;
        let reader = blocking(move || {
            for (partition, (_, high)) in reader.watermarks()? {
                reader.next.insert(partition, high);
            }
            reader.assign()?;
            Ok(reader)
        })
        .await?;
        let (sender, events) = mpsc::channel(BATCHES_MAX);
        // Ends when the receiver is dropped. Detached: the end of a consumer may wait for the network.
        thread::Builder::new()
            .name(format!("tail {topic}"))
            .spawn(move || reader.run(&sender, refresh))
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
    /// The next offset of each partition.
    next: BTreeMap<i32, i64>,
}

impl Reader {
    fn run(mut self, events: &mpsc::Sender<TailEvent>, refresh: Duration) {
        let mut refreshed = Instant::now();
        while !events.is_closed() {
            let (records, error) = self.poll();
            if !records.is_empty() && events.blocking_send(TailEvent::Records(records)).is_err() {
                return;
            }
            let mut is_lost = error.as_ref().is_some_and(is_out_of_range);
            if refreshed.elapsed() >= refresh {
                self.add_new_partitions();
                if self.has_begun_anew() {
                    // The consumer would wait for ever: its leader epochs are the old log's.
                    self.health.strand("reads a log that has begun anew");
                    is_lost = true;
                }
                refreshed = Instant::now();
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
                    self.next.insert(message.partition(), message.offset() + 1);
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

    /// Whether the topic was made anew: a partition ends before what was read of it.
    fn has_begun_anew(&self) -> bool {
        let Ok(watermarks) = self.watermarks() else { return false };
        let is_beyond = |(partition, (_, high)): (&i32, &(i64, i64))| {
            self.next.get(partition).is_some_and(|next| next > high)
        };
        watermarks.iter().any(is_beyond)
    }

    /// Goes on at the end of those partitions whose next record is gone, or at the beginning of those that have begun anew.
    /// Returns them.
    fn reposition(&mut self, events: &mpsc::Sender<TailEvent>) -> Vec<i32> {
        while !events.is_closed() {
            let moved = self.watermarks().and_then(|watermarks| {
                let mut moved = Vec::new();
                for (partition, (low, high)) in watermarks {
                    let next = self.next.entry(partition).or_insert(low);
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
    fn add_new_partitions(&mut self) {
        let Ok(partitions) = self.partitions() else { return };
        let new: Vec<_> =
            partitions.into_iter().filter(|partition| !self.next.contains_key(partition)).collect();
        if new.is_empty() {
            return;
        }
        tracing::info!("reads new partitions of {}: {new:?}", self.topic);
        self.next.extend(new.iter().map(|partition| (*partition, 0)));
        if let Err(error) = self.assign() {
            tracing::warn!(%error, "cannot read new partitions of {} yet: {error}", self.topic);
            self.next.retain(|partition, _| !new.contains(partition));
        }
    }

    fn assign(&self) -> Result<(), BrokerError> {
        let mut list = TopicPartitionList::new();
        for (partition, next) in &self.next {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*next))
                .map_err(|error| broker_error(&error))?;
        }
        self.consumer.assign(&list).map_err(|error| broker_error(&error))
    }

    fn partitions(&self) -> Result<Vec<i32>, BrokerError> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), REQUEST_TIMEOUT);
        let metadata = metadata.map_err(|error| broker_error(&error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        let partitions: Vec<_> = topic
            .into_iter()
            .flat_map(MetadataTopic::partitions)
            .map(MetadataPartition::id)
            .collect();
        if partitions.is_empty() {
            return Err(BrokerError::Unavailable(format!("topic `{}` does not exist", self.topic)));
        }
        Ok(partitions)
    }

    fn watermarks(&self) -> Result<BTreeMap<i32, (i64, i64)>, BrokerError> {
        let mut watermarks = BTreeMap::new();
        for partition in self.partitions()? {
            let found = self.consumer.fetch_watermarks(&self.topic, partition, REQUEST_TIMEOUT);
            watermarks.insert(partition, found.map_err(|error| broker_error(&error))?);
        }
        Ok(watermarks)
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

//! Reads every partition of a topic from its end on, in no group.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::Duration,
};

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
    watch::{Change, Position, Positions, Watch},
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
            let position = Position { next: ends.collect(), generation: 0 };
            assign(&consumer, &topic, &position.next)?;
            let position = Positions::new(Mutex::new(position));
            let watch = Watch::begin(&settings, &topic, Arc::clone(&position))?;
            Ok(Reader { config, consumer, health, topic, position, watch })
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
    /// Assigned once, and added to. It is never assigned anew: a partition that is taken from a consumer twice before
    /// its fetcher has stopped, be it by its end, aborts the process (confluentinc/librdkafka#5573). Another consumer
    /// takes its place instead.
    consumer: BaseConsumer<Watched>,
    health: Health,
    topic: String,
    /// Where it has come to.
    position: Positions,
    watch: Watch,
}

impl Reader {
    fn run(mut self, events: &mpsc::Sender<TailEvent>) {
        while !events.is_closed() {
            let (records, error) = self.poll();
            if !records.is_empty() && events.blocking_send(TailEvent::Records(records)).is_err() {
                return;
            }
            let is_out_of_range = error.as_ref().is_some_and(is_out_of_range);
            let mut lost = is_out_of_range.then(BTreeSet::new);
            let changes: Vec<Change> = self.watch.changes().collect();
            for change in changes {
                match change {
                    Change::Added(partitions) => self.add(&partitions),
                    Change::BegunAnew { generation, partitions } => {
                        if generation == self.position.lock().generation {
                            // The consumer would wait for ever: its leader epochs are the old log's.
                            self.health.strand("reads a log that has begun anew");
                            lost.get_or_insert_default().extend(partitions);
                        }
                    }
                }
            }
            if lost.is_some() || self.health.is_stranded() {
                for partition in self.replace(lost.as_ref(), events) {
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
                    let next = message.offset() + 1;
                    self.position.lock().next.insert(message.partition(), next);
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

    /// Goes on with another consumer, from where this one was. If it is `lost` (the set names the partitions that are
    /// known to have begun anew), from where there is something to read.
    /// Returns the partitions of which something was missed. Tries until it can.
    fn replace(
        &mut self,
        lost: Option<&BTreeSet<i32>>,
        events: &mpsc::Sender<TailEvent>,
    ) -> Vec<i32> {
        while !events.is_closed() {
            match self.try_replace(lost) {
                Ok(missed) => return missed,
                Err(error) => {
                    tracing::warn!(%error, "cannot go on reading {} yet: {error}", self.topic);
                }
            }
            thread::sleep(RETRY);
        }
        Vec::new()
    }

    fn try_replace(&mut self, lost: Option<&BTreeSet<i32>>) -> Result<Vec<i32>, BrokerError> {
        let (consumer, health) = consumer(&self.config)?;
        let mut position = self.position.lock().clone();
        let mut missed = Vec::new();
        if let Some(anew) = lost {
            let watermarks = topics::watermarks(consumer.client(), &self.topic)?;
            missed = reposition(&mut position.next, &watermarks, anew);
            if missed.is_empty() {
                // The log has grown since over what was out of range, and nobody knows in which partition.
                missed.extend(position.next.keys());
            }
            position.generation += 1;
        }
        assign(&consumer, &self.topic, &position.next)?;
        *self.position.lock() = position;
        self.health = health;
        client::end_apart(std::mem::replace(&mut self.consumer, consumer));
        Ok(missed)
    }

    /// A partition that was added is read from its beginning: nothing of it was seen yet.
    fn add(&mut self, partitions: &[i32]) {
        let mut position = self.position.lock();
        let new: BTreeMap<i32, i64> = partitions
            .iter()
            .filter(|partition| !position.next.contains_key(partition))
            .map(|partition| (*partition, 0))
            .collect();
        if new.is_empty() {
            return;
        }
        tracing::info!("reads new partitions of {}: {:?}", self.topic, new.keys());
        let added = list(&self.topic, &new).and_then(|list| {
            self.consumer.incremental_assign(&list).map_err(|error| broker_error(&error))
        });
        match added {
            Ok(()) => position.next.extend(new),
            // The watch will find them again.
            Err(error) => {
                tracing::warn!(%error, "cannot read new partitions of {} yet: {error}", self.topic);
            }
        }
    }
}

fn assign(
    consumer: &BaseConsumer<Watched>,
    topic: &str,
    positions: &BTreeMap<i32, i64>,
) -> Result<(), BrokerError> {
    consumer.assign(&list(topic, positions)?).map_err(|error| broker_error(&error))
}

fn list(topic: &str, positions: &BTreeMap<i32, i64>) -> Result<TopicPartitionList, BrokerError> {
    let mut list = TopicPartitionList::new();
    for (partition, next) in positions {
        list.add_partition_offset(topic, *partition, Offset::Offset(*next))
            .map_err(|error| broker_error(&error))?;
    }
    Ok(list)
}

/// Moves those partitions whose next record is gone to their end, and those that have begun anew to their beginning.
/// Returns them.
fn reposition(
    next: &mut BTreeMap<i32, i64>,
    watermarks: &BTreeMap<i32, (i64, i64)>,
    anew: &BTreeSet<i32>,
) -> Vec<i32> {
    let mut moved = Vec::new();
    for (partition, (low, high)) in watermarks {
        let next = next.entry(*partition).or_insert(*low);
        if *next > *high || anew.contains(partition) {
            // Also when the new log has grown beyond it meanwhile.
            *next = *low;
        } else if *next < *low {
            *next = *high;
        } else {
            continue;
        }
        moved.push(*partition);
    }
    moved
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_left_out_and_what_has_begun_anew_is_read_from_its_beginning() {
        let mut next = BTreeMap::from([(0, 7), (1, 7), (2, 7), (3, 7), (5, 7)]);
        let watermarks = BTreeMap::from([
            (0, (0, 7)),
            (1, (9, 12)),
            (2, (2, 6)),
            (3, (7, 9)),
            (4, (3, 5)),
            (5, (0, 8)),
        ]);
        let grown_beyond = BTreeSet::from([5]);
        assert_eq!(reposition(&mut next, &watermarks, &grown_beyond), [1, 2, 5]);
        assert_eq!(next, BTreeMap::from([(0, 7), (1, 12), (2, 2), (3, 7), (4, 3), (5, 0)]));
    }
}

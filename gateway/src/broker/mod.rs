//! The log between gateway and worker: publish, consume, positions, topics. One trait, Kafka and embedded.
//!
//! Owns topics, partitions and offsets as bytes and numbers. Refuses to know what a record says. Both
//! implementations are held to the same conformance test (`tests/it/broker_conformance.rs`).

mod embedded;
mod kafka;

use std::{collections::BTreeMap, fmt::Debug, future::Future, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

pub use embedded::{EmbeddedBroker, EmbeddedSettings, EmbeddedTopic, Kept, Location};
pub use kafka::{KafkaBroker, KafkaSettings};

/// A record on its way into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub topic: Arc<str>,
    /// Records with one key keep their order.
    pub key: Option<Bytes>,
    /// `None`: a tombstone.
    pub value: Option<Bytes>,
    pub headers: Vec<(&'static str, Bytes)>,
}

/// A record read from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Bytes>,
    /// `None`: a tombstone.
    pub value: Option<Bytes>,
}

/// What the broker says instead of doing what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the queue to the broker is full")]
    QueueFull,
    #[error("the broker did not confirm in time")]
    TimedOut,
    /// What was in flight is lost for this producer; the next record goes through a new one.
    #[error("the producer failed for good: {0}")]
    ProducerFailed(String),
    /// Cannot be reached, or refuses for now.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// The record or the request itself is not acceptable; repeating it is useless.
    #[error("the broker refused: {0}")]
    Refused(String),
}

/// Resolves when every in-sync replica holds the record (embedded: when it is on disk).
pub type Report = Pin<Box<dyn Future<Output = Result<(), BrokerError>> + Send>>;

/// When a publisher gives a record up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Reports `TimedOut` after this long; later records are not held back by it.
    Limited(Duration),
    /// Never: the log has no gap. A record fails only when the producer does, or when it is refused.
    Unlimited,
}

/// Puts records into the log in the order of the calls.
#[async_trait]
pub trait Publisher: Debug + Send + Sync {
    /// Queues without waiting: the order of the calls is the order in the log (for one key).
    /// Fails at once when the queue is full. Dropping the report does not withdraw the record.
    fn publish(&self, record: Outgoing) -> Result<Report, BrokerError>;
    /// Queues many, all in one producer: no later one overtakes an earlier one of the same key. Stops at the first one
    /// that cannot be queued now; a refused one is skipped. Returns the outcome of each that was tried.
    fn publish_all(&self, records: &[Outgoing]) -> Vec<Result<Report, BrokerError>> {
        let mut reports = Vec::with_capacity(records.len());
        for record in records {
            let report = self.publish(record.clone());
            let goes_on = matches!(report, Ok(_) | Err(BrokerError::Refused(_)));
            reports.push(report);
            if !goes_on {
                break;
            }
        }
        reports
    }
    /// Waits until nothing is queued or in flight any more, at most `limit`. Returns whether that was reached.
    async fn flush(&self, limit: Duration) -> bool;
}

/// What a reader of all partitions sees next.
#[derive(Debug)]
pub enum TailEvent {
    /// At least one record; in order within each partition.
    Records(Vec<Incoming>),
    /// The log no longer has what comes next in this partition. Reading goes on at its end, or at its beginning if the
    /// partition has begun anew.
    Gap { partition: i32 },
}

/// Reads every partition of a topic from where it ended when this was made, and skips nothing.
#[async_trait]
pub trait Tail: Debug + Send {
    /// Waits through outages. Cancel safe: what a cancelled call would have returned comes next time.
    async fn next(&mut self) -> TailEvent;
}

/// A partition that the group gave to this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    pub partition: i32,
    /// The next offset that the group has not finished, if it ever finished one.
    pub committed: Option<i64>,
}

/// Where to begin in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record that the log still has.
    Earliest,
    /// This offset; the oldest record when the log does not have it.
    At(i64),
}

/// What happens to a member of a consumer group.
#[derive(Debug)]
pub enum GroupEvent {
    /// Answer with where to begin in each; nothing is delivered before.
    Assigned { partitions: Vec<Assigned>, start: oneshot::Sender<BTreeMap<i32, Start>> },
    /// Stop working on these, then answer; another worker may have them after that (or already has).
    Revoked { partitions: Vec<i32>, done: oneshot::Sender<()> },
    /// At least one record, of one partition, in the order of offsets.
    Records { partition: i32, records: Vec<Incoming> },
}

/// Membership in the consumer group of a topic. Dropping it leaves the group.
#[async_trait]
pub trait Group: Debug + Send {
    /// Waits through outages. `None` after `leave` was called on the committer. Cancel safe.
    async fn next(&mut self) -> Option<GroupEvent>;
    fn committer(&self) -> Arc<dyn Committer>;
}

/// The part of a group membership that partitions share.
#[async_trait]
pub trait Committer: Debug + Send + Sync {
    /// Notes that everything of the partition below `next` is finished, and waits until the broker has that. Fails
    /// when the partition is not ours.
    async fn commit(&self, partition: i32, next: i64) -> Result<(), BrokerError>;
    /// The same without waiting: a later commit makes up for one that fails.
    fn commit_later(&self, partition: i32, next: i64);
    /// Delivers no more records of the partition, beside a few that are on their way, until `resume`.
    async fn pause(&self, partition: i32);
    /// Delivers again, from the first record that was not delivered.
    async fn resume(&self, partition: i32);
    /// Leaves the group: revokes what is assigned (as an event), then ends `Group::next` with `None`.
    fn leave(&self);
    /// How many records of the assigned partitions are not committed yet, per partition.
    async fn lag(&self) -> BTreeMap<i32, i64>;
}

/// What `migrate` makes of a topic that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: Arc<str>,
    pub partitions: i32,
    /// `-1`: the broker's default.
    pub replication: i32,
    /// Topic settings by their Kafka names, for example `min.insync.replicas`.
    pub settings: Vec<(&'static str, String)>,
}

/// The log.
#[async_trait]
pub trait Broker: Debug + Send + Sync {
    fn publisher(&self, patience: Patience) -> Result<Arc<dyn Publisher>, BrokerError>;
    /// Returns once positioned: every record published after that is seen.
    async fn tail(&self, topic: &str) -> Result<Box<dyn Tail>, BrokerError>;
    /// Joins `group` for `topic`.
    async fn group(&self, topic: &str, group: &str) -> Result<Box<dyn Group>, BrokerError>;
    /// Creates those that are missing; leaves the others as they are. Returns the names it created.
    async fn create_topics(&self, topics: &[TopicSpec]) -> Result<Vec<Arc<str>>, BrokerError>;
    /// Those of `topics` that do not exist.
    async fn missing_topics(&self, topics: &[Arc<str>]) -> Result<Vec<Arc<str>>, BrokerError>;
    /// How long the broker takes to answer.
    async fn ping(&self) -> Result<Duration, BrokerError>;
}

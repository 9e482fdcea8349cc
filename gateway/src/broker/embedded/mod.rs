//! A log inside this process: what must survive it is appended to a SQLite file in group commits.
//!
//! One partition per topic. What nobody reads after a restart (persisted records, membership changes: their readers
//! are sockets of this process) stays in memory.

mod group;
mod shelf;
mod topic;
mod writer;

use std::{collections::HashMap, fmt::Debug, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{
    Broker, BrokerError, Group, Outgoing, Patience, Publisher, Report, Tail, TailEvent, TopicSpec,
};
use group::EmbeddedGroup;
use shelf::Shelf;
use topic::Topic;
use writer::Job;

/// The one partition of each topic.
const PARTITION: i32 = 0;

/// Where the log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    File(PathBuf),
    /// Gone with the process.
    Memory,
}

/// How long the records of a topic are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// On disk until the group has committed them.
    UntilCommitted,
    /// The newest ones in memory, up to so many bytes. Gone with the process.
    InMemory { bytes_max: usize },
    /// On disk, for people to look at.
    Forever,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedTopic {
    pub name: Arc<str>,
    pub kept: Kept,
}

/// How the log is kept.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    pub location: Location,
    /// Whether a record is on disk (fsync) before its report.
    pub durable: bool,
    /// Records that wait for the disk; above it publishing fails at once.
    pub queue_records_max: usize,
    pub topics: Vec<EmbeddedTopic>,
}

/// The log. Clones share it.
#[derive(Clone, Debug)]
pub struct EmbeddedBroker {
    topics: Arc<HashMap<Arc<str>, Arc<Topic>>>,
    jobs: mpsc::Sender<Job>,
}

impl EmbeddedBroker {
    /// Opens or makes the file. One process at a time may do that; whoever calls holds a lock.
    pub async fn open(settings: EmbeddedSettings) -> Result<Self, BrokerError> {
        let mut shelf = Shelf::open(&settings.location, settings.durable).await?;
        let mut topics = HashMap::new();
        for EmbeddedTopic { name, kept } in settings.topics {
            let head = match kept {
                Kept::InMemory { .. } => shelf::Head::default(),
                Kept::UntilCommitted | Kept::Forever => shelf.head(&name).await?,
            };
            topics.insert(Arc::clone(&name), Arc::new(Topic::new(name, kept, head)));
        }
        let (jobs, waiting) = mpsc::channel(settings.queue_records_max);
        // Ends when the last clone of the broker and of its publishers and readers is dropped.
        tokio::spawn(writer::run(shelf, waiting));
        Ok(Self { topics: Arc::new(topics), jobs })
    }

    fn topic(&self, name: &str) -> Result<&Arc<Topic>, BrokerError> {
        let missing = || BrokerError::Refused(format!("there is no topic `{name}`"));
        self.topics.get(name).ok_or_else(missing)
    }
}

#[async_trait]
impl Publisher for EmbeddedBroker {
    fn publish(&self, record: Outgoing) -> Result<Report, BrokerError> {
        let topic = self.topic(&record.topic)?;
        if let Kept::InMemory { .. } = topic.kept {
            topic.append(vec![(record.key, record.value)]);
            return Ok(Box::pin(std::future::ready(Ok(()))));
        }
        let (report, reported) = oneshot::channel();
        let job = Job::Append { topic: Arc::clone(topic), record, report };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => BrokerError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        Ok(Box::pin(async { reported.await.unwrap_or_else(|_| Err(stopped())) }))
    }

    async fn flush(&self, limit: Duration) -> bool {
        let (done, wait) = oneshot::channel();
        let flushed =
            async { self.jobs.send(Job::Flush { done }).await.is_ok() && wait.await.is_ok() };
        timeout(limit, flushed).await.unwrap_or(false)
    }
}

#[async_trait]
impl Broker for EmbeddedBroker {
    /// The disk is as patient as one likes: a record is reported as soon as its commit went through or failed.
    fn publisher(&self, _patience: Patience) -> Result<Arc<dyn Publisher>, BrokerError> {
        Ok(Arc::new(self.clone()))
    }

    async fn tail(&self, topic: &str) -> Result<Box<dyn Tail>, BrokerError> {
        let topic = Arc::clone(self.topic(topic)?);
        Ok(Box::new(EmbeddedTail { next: topic.end(), topic, jobs: self.jobs.clone() }))
    }

    /// There is one group per topic; its name does not matter.
    async fn group(&self, topic: &str, _group: &str) -> Result<Box<dyn Group>, BrokerError> {
        Ok(Box::new(EmbeddedGroup::join(Arc::clone(self.topic(topic)?), self.jobs.clone())))
    }

    /// Topics are there by construction.
    async fn create_topics(&self, topics: &[TopicSpec]) -> Result<Vec<Arc<str>>, BrokerError> {
        for topic in topics {
            self.topic(&topic.name)?;
        }
        Ok(Vec::new())
    }

    async fn missing_topics(&self, topics: &[Arc<str>]) -> Result<Vec<Arc<str>>, BrokerError> {
        Ok(topics.iter().filter(|topic| !self.topics.contains_key(*topic)).cloned().collect())
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        let started = Instant::now();
        let (done, wait) = oneshot::channel();
        self.jobs.send(Job::Flush { done }).await.map_err(|_| stopped())?;
        wait.await.map_err(|_| stopped())?;
        Ok(started.elapsed())
    }
}

fn stopped() -> BrokerError {
    BrokerError::Unavailable("the log has stopped".to_owned())
}

#[derive(Debug)]
struct EmbeddedTail {
    topic: Arc<Topic>,
    next: i64,
    jobs: mpsc::Sender<Job>,
}

#[async_trait]
impl Tail for EmbeddedTail {
    async fn next(&mut self) -> TailEvent {
        let Ok(records) = topic::read(&self.topic, &self.jobs, self.next).await else {
            self.next = self.topic.end();
            return TailEvent::Gap { partition: PARTITION };
        };
        self.next = records.last().map_or(self.next, |record| record.offset + 1);
        TailEvent::Records(records)
    }
}

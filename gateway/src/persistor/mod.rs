//! The worker: accepted messages into the database, and from there into the log as persisted.
//!
//! Owns exactly-once storing: one transaction per partition and batch moves the position and inserts the rows, then
//! the persisted records are published, then the offset is committed, in that order. Refuses to lose a
//! record: what cannot be stored for its own fault becomes a dead letter, an outage is waited out.

mod batch;
mod outbox;
mod partition;
mod publish;

use std::{
    collections::{BTreeMap, HashMap},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;

use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{Assigned, Broker, BrokerError, Committer, GroupEvent, Incoming, Patience, Start},
    config::{Persistor as Settings, Topics},
    shutdown::Shutdown,
    store::Store,
};
use partition::{End, Partition};
use publish::Ordered;

/// Deliveries of one partition that wait while one is being stored: at so many it is paused, at so few it goes on.
const PAUSE_AT: usize = 8;
const RESUME_AT: usize = 2;

/// What is still on its way when a partition is paused fits in as well.
const WAITING_MAX: usize = PAUSE_AT + 64;

/// Between two attempts at a backend that is away: first and longest wait.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// How long an assignment may wait for the database.
const POSITION_LIMIT: Duration = Duration::from_secs(1);

/// How often the lag is measured.
const LAG_EVERY: Duration = Duration::from_secs(5);

/// What the persistor works with.
#[derive(Clone, Debug)]
pub struct Persistor {
    pub store: Arc<dyn Store>,
    pub broker: Arc<dyn Broker>,
    pub topics: Topics,
    pub group: String,
    pub settings: Settings,
    pub shutdown: Shutdown,
}

/// A partition's task, as long as the partition is ours.
struct Running {
    records: mpsc::Sender<Vec<Incoming>>,
    is_paused: Arc<Mutex<bool>>,
    revoked: CancellationToken,
    ended: oneshot::Receiver<()>,
}

/// Why the persistor stopped on its own.
#[derive(Debug, thiserror::Error)]
pub enum PersistorError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Starting again begins where the database stands.
    #[error("the worker of partition {partition} cannot go on ({reason}): the process starts anew")]
    PartitionEnded { partition: i32, reason: &'static str },
}

impl Persistor {
    /// Joins the group and works until the process drains; returns when every partition is given back.
    pub async fn run(self) -> Result<(), PersistorError> {
        let publisher = Ordered::new(self.broker.publisher(Patience::Unlimited)?);
        let mut group = self.broker.group(&self.topics.messages, &self.group).await?;
        let committer = group.committer();
        let (tasks, stopped) = (&self.shutdown.tasks, &self.shutdown.stopped);
        // Both end once `stopped`.
        let sweeping = outbox::run(self.clone(), publisher.clone());
        tasks.spawn(stopped.clone().run_until_cancelled_owned(sweeping));
        let measuring = measure_lag(Arc::clone(&committer));
        tasks.spawn(stopped.clone().run_until_cancelled_owned(measuring));

        let mut running = HashMap::new();
        let mut is_leaving = false;
        let (failing, mut failed) = mpsc::channel(1);
        let outcome = loop {
            let event = tokio::select! {
                () = self.shutdown.requested.cancelled(), if !is_leaving => {
                    is_leaving = true;
                    committer.leave();
                    continue;
                }
                Some(failure) = failed.recv() => break Err(failure),
                event = group.next() => event,
            };
            match event {
                None => break Ok(()),
                Some(GroupEvent::Assigned { partitions, start }) => {
                    stop(&mut running, None).await;
                    let starts = self
                        .assign(&partitions, &publisher, &committer, &failing, &mut running)
                        .await;
                    if start.send(starts).is_err() {
                        tracing::debug!("the assignment was withdrawn before it was answered");
                    }
                }
                Some(GroupEvent::Revoked { partitions, done }) => {
                    stop(&mut running, Some(&partitions)).await;
                    if done.send(()).is_err() {
                        tracing::warn!("gave {partitions:?} back later than the group waits");
                    }
                }
                Some(GroupEvent::Records { partition, records }) => {
                    hand_over(&running, &*committer, partition, records).await;
                }
            }
        };
        stop(&mut running, None).await;
        outcome
    }

    /// Reads the positions and starts a task per partition; says where to begin in each.
    async fn assign(
        &self,
        partitions: &[Assigned],
        publisher: &Ordered,
        committer: &Arc<dyn Committer>,
        failing: &mpsc::Sender<PersistorError>,
        running: &mut HashMap<i32, Running>,
    ) -> BTreeMap<i32, Start> {
        let mut starts = BTreeMap::new();
        for Assigned { partition, committed } in partitions.iter().copied() {
            // After a first one that the database did not answer nobody waits for the others.
            let is_known = starts.is_empty() || starts.values().all(|(_, known)| *known);
            let position = if is_known { self.position(partition).await } else { None };
            let start = match position {
                Some(position) => start_of(committed, position),
                None => committed.map_or(Start::Earliest, Start::At),
            };
            starts.insert(partition, (start, position.is_some()));
            let (sender, records) = mpsc::channel(WAITING_MAX);
            let (revoked, is_paused) = (CancellationToken::new(), Arc::<Mutex<bool>>::default());
            let (ending, ended) = oneshot::channel();
            let task = Partition {
                persistor: self.clone(),
                publisher: publisher.clone(),
                committer: Arc::clone(committer),
                number: partition,
                committed,
                is_unread: position.is_none(),
                position: position.flatten(),
                finished: None,
                is_paused: Arc::clone(&is_paused),
                revoked: revoked.clone(),
            };
            let failing = failing.clone();
            // Ends when the partition is revoked.
            self.shutdown.tasks.spawn(async move {
                let reason = match AssertUnwindSafe(task.run(records)).catch_unwind().await {
                    Ok(End::Revoked) => None,
                    Ok(End::WentBack) => Some("the database has forgotten what it had stored"),
                    Err(_) => Some("it panicked"),
                };
                if let Some(reason) = reason {
                    // Only the first failure counts: with a full channel the persistor stops already.
                    let failure = PersistorError::PartitionEnded { partition, reason };
                    failing.try_send(failure).unwrap_or_default();
                }
                drop(ending);
            });
            running.insert(partition, Running { records: sender, is_paused, revoked, ended });
            tracing::info!(
                kafka.partition = partition,
                kafka.committed = committed,
                position = position.flatten(),
                "took partition {partition} over"
            );
        }
        starts.into_iter().map(|(partition, (start, _))| (partition, start)).collect()
    }

    /// The position of a partition; `None` when the database does not tell at once. The whole group waits for the answer
    /// to an assignment, so the partition's own task asks again.
    async fn position(&self, partition: i32) -> Option<Option<i64>> {
        let asked = self.store.position(&self.topics.messages, partition);
        match timeout(POSITION_LIMIT, asked).await {
            Ok(Ok(position)) => Some(position),
            Ok(Err(error)) => {
                tracing::warn!(%error, "took partition {partition} over without its position: {error}");
                None
            }
            Err(_) => {
                tracing::warn!(
                    "took partition {partition} over without its position: the database is slow"
                );
                None
            }
        }
    }
}

/// Never waits for the database: a rebalance that comes meanwhile would wait with it.
async fn hand_over(
    running: &HashMap<i32, Running>,
    committer: &dyn Committer,
    partition: i32,
    records: Vec<Incoming>,
) {
    let Some(task) = running.get(&partition) else {
        tracing::error!(
            kafka.partition = partition,
            "got records of partition {partition}, which is not ours"
        );
        return;
    };
    // The task has failed when this does, and that is reported: what it did not commit comes again.
    task.records.send(records).await.unwrap_or_default();
    // Held over the call: a resume never overtakes the pause that it ends.
    let mut is_paused = task.is_paused.lock().await;
    let waiting = task.records.max_capacity() - task.records.capacity();
    if waiting >= PAUSE_AT && !*is_paused {
        committer.pause(partition).await;
        *is_paused = true;
    }
}

/// The lower of the committed offset and the position; the beginning when either is unknown: the group's
/// offsets expired, the topic or the database began anew.
fn start_of(committed: Option<i64>, position: Option<i64>) -> Start {
    match (committed, position) {
        (Some(committed), Some(position)) => Start::At(committed.min(position)),
        (None, _) | (_, None) => Start::Earliest,
    }
}

/// Stops the tasks of `partitions` (all of them without) and waits until they hold nothing any more.
async fn stop(running: &mut HashMap<i32, Running>, partitions: Option<&[i32]>) {
    let ours: Vec<i32> = match partitions {
        Some(partitions) => partitions.to_vec(),
        None => running.keys().copied().collect(),
    };
    let tasks: Vec<_> = ours.iter().filter_map(|partition| running.remove(partition)).collect();
    for task in &tasks {
        task.revoked.cancel();
    }
    for task in tasks {
        // The sender is dropped, never used: an error is the end that is waited for.
        task.ended.await.unwrap_or_default();
    }
}

async fn measure_lag(committer: Arc<dyn Committer>) {
    let gauge = |partition: i32| metrics::gauge!("persistor_lag_records", "partition" => partition.to_string());
    let mut before = BTreeMap::new();
    loop {
        sleep(LAG_EVERY).await;
        let lags = committer.lag().await;
        for partition in before.keys().filter(|partition| !lags.contains_key(partition)) {
            gauge(*partition).set(0.0); // Another worker's now.
        }
        for (partition, lag) in &lags {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            gauge(*partition).set(*lag as f64);
        }
        before = lags;
    }
}

/// Waits between attempts; says that it does, again when the reason is another one, and that it is over.
struct Backoff {
    what: &'static str,
    reason: String,
    wait: Duration,
}

impl Backoff {
    fn new(what: &'static str) -> Self {
        Self { what, reason: String::new(), wait: Duration::ZERO }
    }

    async fn failed(&mut self, error: &(dyn std::error::Error + Send + Sync)) {
        let reason = error.to_string();
        if self.reason != reason {
            tracing::warn!(%error, "{} wait: {error}", self.what);
            self.reason = reason;
        }
        self.wait = (self.wait * 2).clamp(RETRY_MIN, RETRY_MAX);
        sleep(self.wait).await;
    }

    fn succeeded(&mut self) {
        if !self.wait.is_zero() {
            tracing::info!("{} go on", self.what);
            self.reason.clear();
            self.wait = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_at_the_lower_of_commit_and_position_and_at_the_beginning_if_one_is_unknown() {
        assert_eq!(start_of(Some(7), Some(9)), Start::At(7));
        assert_eq!(start_of(Some(9), Some(7)), Start::At(7));
        assert_eq!(start_of(None, Some(7)), Start::Earliest);
        assert_eq!(start_of(Some(7), None), Start::Earliest);
        assert_eq!(start_of(None, None), Start::Earliest);
    }
}

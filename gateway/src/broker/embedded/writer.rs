//! The one task that writes: takes what waits, appends it in one transaction, reports, wakes readers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    shelf::Shelf,
    topic::{BATCH_RECORDS_MAX, Topic},
};
use crate::broker::{BrokerError, Incoming, Outgoing};

/// Records of one transaction.
const GROUP_RECORDS_MAX: usize = 2_000;

/// A commit of offsets waits so long for others and for records to go along with.
const COMMIT_DELAY: Duration = Duration::from_millis(50);

/// Finished records are dropped in steps of so many.
const TRIM_RECORDS: i64 = 1_000;

/// What the writer can be asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Append {
        topic: Arc<Topic>,
        record: Outgoing,
        report: oneshot::Sender<Result<(), BrokerError>>,
    },
    Read {
        topic: Arc<Topic>,
        from: i64,
        /// Empty: nothing on disk from there on.
        reply: oneshot::Sender<Vec<Incoming>>,
    },
    /// Note that everything below `next` is finished. It may be noted late: after a crash it is finished again.
    Commit {
        topic: Arc<Topic>,
        next: i64,
    },
    /// Answers when everything before it is done.
    Flush {
        done: oneshot::Sender<()>,
    },
}

type Append = (Arc<Topic>, Outgoing, oneshot::Sender<Result<(), BrokerError>>);

/// Commits that are not on disk yet, and how far each topic is trimmed.
#[derive(Default)]
struct Commits {
    /// When those that are pending are to be written.
    due: Option<Instant>,
    pending: HashMap<Arc<str>, (Arc<Topic>, i64)>,
    trimmed: HashMap<Arc<str>, i64>,
}

/// Ends when nobody can send a job any more.
pub(super) async fn run(mut shelf: Shelf, mut jobs: mpsc::Receiver<Job>) {
    let mut commits = Commits::default();
    let mut waiting = Vec::new();
    loop {
        let received = jobs.recv_many(&mut waiting, GROUP_RECORDS_MAX);
        let received = match commits.due {
            None => Ok(received.await),
            Some(due) => timeout_at(due, received).await,
        };
        if received == Ok(0) {
            break;
        }
        work(&mut shelf, &mut commits, waiting.drain(..)).await;
        if commits.due.is_some_and(|due| due <= Instant::now()) {
            commits.write(&mut shelf).await;
        }
    }
    commits.write(&mut shelf).await;
}

async fn work(shelf: &mut Shelf, commits: &mut Commits, jobs: impl Iterator<Item = Job>) {
    let mut appends = Vec::new();
    let mut flushes = Vec::new();
    for job in jobs {
        match job {
            Job::Append { topic, record, report } => appends.push((topic, record, report)),
            Job::Flush { done } => flushes.push(done),
            Job::Commit { topic, next } => {
                commits.due.get_or_insert_with(|| Instant::now() + COMMIT_DELAY);
                commits.pending.insert(Arc::clone(&topic.name), (topic, next));
            }
            Job::Read { topic, from, reply } => {
                match shelf.read(&topic.name, from, BATCH_RECORDS_MAX).await {
                    // The reader may have gone.
                    Ok(records) => drop(reply.send(records)),
                    // It asks again, soon and often.
                    Err(error) => tracing::debug!(%error, "cannot read {}: {error}", topic.name),
                }
            }
        }
    }
    append(shelf, appends).await;
    for done in flushes {
        // Whoever waited may have given up.
        done.send(()).unwrap_or_default();
    }
}

async fn append(shelf: &mut Shelf, appends: Vec<Append>) {
    if appends.is_empty() {
        return;
    }
    let mut ends = HashMap::new();
    let mut records = Vec::with_capacity(appends.len());
    for (topic, record, _) in &appends {
        let end: &mut i64 = ends.entry(Arc::clone(&topic.name)).or_insert_with(|| topic.end());
        records.push((*end, record));
        *end += 1;
    }
    let written = shelf.append(&records).await;
    if let Err(error) = &written {
        tracing::error!(%error, "cannot append {} records: {error}", records.len());
    }
    drop(records);
    let mut visible = HashMap::<Arc<str>, (Arc<Topic>, Vec<(Option<Bytes>, Option<Bytes>)>)>::new();
    let mut reports = Vec::with_capacity(appends.len());
    for (topic, record, report) in appends {
        let name = Arc::clone(&topic.name);
        visible.entry(name).or_insert((topic, Vec::new())).1.push((record.key, record.value));
        reports.push(report);
    }
    if written.is_ok() {
        for (topic, records) in visible.into_values() {
            topic.append(records);
        }
    }
    for report in reports {
        let result = match &written {
            Ok(()) => Ok(()),
            Err(error) => Err(BrokerError::Unavailable(error.to_string())),
        };
        // Whoever published may not wait for it.
        drop(report.send(result));
    }
}

impl Commits {
    async fn write(&mut self, disk: &mut Shelf) {
        self.due = None;
        for (name, (topic, next)) in std::mem::take(&mut self.pending) {
            let trimmed = self.trimmed.entry(name).or_insert(0);
            let trim = next - *trimmed >= TRIM_RECORDS;
            match disk.commit(&topic.name, next, trim).await {
                Ok(()) if trim => *trimmed = next,
                Ok(()) => {}
                // Finished again after a restart, which does no harm.
                Err(error) => tracing::error!(%error, "cannot note an offset: {error}"),
            }
        }
    }
}

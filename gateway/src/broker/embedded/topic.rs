//! The newest records of a topic in memory, and how readers wait for more.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::sleep,
};

use super::{Kept, PARTITION, shelf::Head, writer::Job};
use crate::broker::Incoming;

/// Records handed to a reader at a time.
pub(super) const BATCH_RECORDS_MAX: usize = 500;

/// Records of a topic on disk that are also kept in memory, for readers that keep up.
const RECENT_RECORDS_MAX: usize = 10_000;

/// Between two attempts to read a disk that fails.
const READ_RETRY: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) kept: Kept,
    state: Mutex<State>,
    grown: Notify,
}

#[derive(Debug)]
struct State {
    /// The offset after the newest record.
    end: i64,
    /// The newest records, without a gap up to `end`.
    recent: VecDeque<Incoming>,
    committed: Option<i64>,
}

/// What a topic has at an offset.
enum Found {
    Records(Vec<Incoming>),
    /// Nothing yet.
    End,
    /// Not in memory any more.
    Older,
}

impl Topic {
    pub(super) fn new(name: Arc<str>, kept: Kept, head: Head) -> Self {
        let Head { end, committed } = head;
        let state = State { end, recent: VecDeque::new(), committed };
        Self { name, kept, state: Mutex::new(state), grown: Notify::new() }
    }

    pub(super) fn end(&self) -> i64 {
        self.state.lock().end
    }

    pub(super) fn committed(&self) -> Option<i64> {
        self.state.lock().committed
    }

    pub(super) fn set_committed(&self, next: i64) {
        self.state.lock().committed = Some(next);
    }

    /// Makes records visible that are safe where they have to be. Only one caller at a time per topic on disk.
    pub(super) fn append(&self, records: Vec<(Bytes, Bytes)>) {
        let records_max = match self.kept {
            Kept::InMemory { records_max } => records_max,
            Kept::UntilCommitted | Kept::Forever => RECENT_RECORDS_MAX,
        };
        let mut state = self.state.lock();
        for (key, value) in records {
            let offset = state.end;
            state.end += 1;
            let (key, value) = (Some(key), Some(value));
            state.recent.push_back(Incoming { partition: PARTITION, offset, key, value });
        }
        let surplus = state.recent.len().saturating_sub(records_max);
        state.recent.drain(..surplus);
        drop(state);
        self.grown.notify_waiters();
    }

    fn find(&self, from: i64) -> Found {
        let state = self.state.lock();
        if from >= state.end {
            return Found::End;
        }
        let first = state.end - i64::try_from(state.recent.len()).unwrap_or(i64::MAX);
        match usize::try_from(from - first) {
            Ok(skip) => {
                let records = state.recent.iter().skip(skip).take(BATCH_RECORDS_MAX).cloned();
                Found::Records(records.collect())
            }
            Err(_) => Found::Older,
        }
    }
}

/// The records from `from` on, waiting for the first one; `None` if the topic no longer has it.
pub(super) async fn read(
    topic: &Arc<Topic>,
    jobs: &mpsc::Sender<Job>,
    from: i64,
) -> Option<Vec<Incoming>> {
    loop {
        let grown = topic.grown.notified();
        tokio::pin!(grown);
        grown.as_mut().enable(); // Before looking: nothing appended after the look is missed.
        match topic.find(from) {
            Found::Records(records) => return Some(records),
            Found::End => grown.await,
            Found::Older => {
                if let Kept::InMemory { .. } = topic.kept {
                    return None;
                }
                let (reply, records) = oneshot::channel();
                let job = Job::Read { topic: Arc::clone(topic), from, reply };
                if jobs.send(job).await.is_err() {
                    std::future::pending::<()>().await; // The process is ending.
                }
                match records.await {
                    Ok(records) => return records,
                    // The disk could not be read, which is logged: nothing may be skipped for that.
                    Err(_) => sleep(READ_RETRY).await,
                }
            }
        }
    }
}

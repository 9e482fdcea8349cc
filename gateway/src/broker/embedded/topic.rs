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

/// Bytes of a topic on disk that are also kept in memory, for readers that keep up.
const RECENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a record costs beside its key and its value, roughly.
const RECORD_BYTES: usize = 160;

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
    recent_bytes: usize,
    committed: Option<i64>,
}

/// What a topic has at an offset.
enum Found {
    Records(Vec<Incoming>),
    /// Nothing yet.
    End,
    /// Not in memory any more; that begins here.
    Older(i64),
}

impl Topic {
    pub(super) fn new(name: Arc<str>, kept: Kept, head: Head) -> Self {
        let Head { end, committed } = head;
        let state = State { end, recent: VecDeque::new(), recent_bytes: 0, committed };
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
    pub(super) fn append(&self, records: Vec<(Option<Bytes>, Option<Bytes>)>) {
        let bytes_max = match self.kept {
            Kept::InMemory { bytes_max } => bytes_max,
            Kept::UntilCommitted | Kept::Forever => RECENT_BYTES_MAX,
        };
        let mut state = self.state.lock();
        for (key, value) in records {
            let offset = state.end;
            state.end += 1;
            let record = Incoming { partition: PARTITION, offset, key, value };
            state.recent_bytes += bytes(&record);
            state.recent.push_back(record);
        }
        while state.recent_bytes > bytes_max
            && let Some(oldest) = state.recent.pop_front()
        {
            state.recent_bytes -= bytes(&oldest);
        }
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
            Err(_) => Found::Older(first),
        }
    }
}

fn bytes(record: &Incoming) -> usize {
    let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    RECORD_BYTES + length(&record.key) + length(&record.value)
}

/// The records from `from` on, waiting for the first one; if the topic no longer has it, the oldest offset that it
/// may still have.
pub(super) async fn read(
    topic: &Arc<Topic>,
    jobs: &mpsc::Sender<Job>,
    from: i64,
) -> Result<Vec<Incoming>, i64> {
    loop {
        let grown = topic.grown.notified();
        tokio::pin!(grown);
        grown.as_mut().enable(); // Before looking: nothing appended after the look is missed.
        match topic.find(from) {
            Found::Records(records) => return Ok(records),
            Found::End => grown.await,
            Found::Older(first) => {
                if let Kept::InMemory { .. } = topic.kept {
                    return Err(first);
                }
                let (reply, records) = oneshot::channel();
                let job = Job::Read { topic: Arc::clone(topic), from, reply };
                if jobs.send(job).await.is_err() {
                    std::future::pending::<()>().await; // The process is ending.
                }
                match records.await {
                    Ok(records) if records.is_empty() => return Err(first),
                    Ok(records) => return Ok(records),
                    // The disk could not be read, which is logged: nothing may be skipped for that.
                    Err(_) => sleep(READ_RETRY).await,
                }
            }
        }
    }
}

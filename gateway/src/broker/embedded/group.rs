//! The one member of the one group: this process's worker.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    PARTITION,
    topic::{Topic, read},
    writer::Job,
};
use crate::broker::{Assigned, BrokerError, Committer, Group, GroupEvent, Start};

#[derive(Debug)]
pub(super) struct EmbeddedGroup {
    step: Step,
    committer: Arc<EmbeddedCommitter>,
}

#[derive(Debug)]
enum Step {
    Joining,
    /// Waits for the worker to say where to begin.
    Assigned(oneshot::Receiver<BTreeMap<i32, Start>>),
    /// Reads from this offset on.
    Reading(i64),
    /// Waits for the worker to let go.
    Revoked(oneshot::Receiver<()>),
    Left,
}

impl EmbeddedGroup {
    pub(super) fn join(topic: Arc<Topic>, jobs: mpsc::Sender<Job>) -> Self {
        let committer = EmbeddedCommitter {
            topic,
            jobs,
            leaving: CancellationToken::new(),
            paused: watch::Sender::new(false),
            is_ours: AtomicBool::new(false),
        };
        Self { step: Step::Joining, committer: Arc::new(committer) }
    }
}

#[async_trait]
impl Group for EmbeddedGroup {
    async fn next(&mut self) -> Option<GroupEvent> {
        let EmbeddedCommitter { topic, jobs, leaving, paused, is_ours } = &*self.committer;
        loop {
            match &mut self.step {
                Step::Joining => {
                    let (start, answer) = oneshot::channel();
                    self.step = Step::Assigned(answer);
                    is_ours.store(true, Ordering::Release);
                    let committed = topic.committed();
                    let partitions = vec![Assigned { partition: PARTITION, committed }];
                    return Some(GroupEvent::Assigned { partitions, start });
                }
                Step::Assigned(answer) => {
                    let starts = answer.await.unwrap_or_default();
                    self.step = match starts.get(&PARTITION) {
                        Some(Start::Earliest) => Step::Reading(0),
                        Some(Start::At(offset)) => Step::Reading(*offset),
                        // No answer: the worker is about to leave.
                        None => Step::Reading(i64::MAX),
                    };
                }
                Step::Reading(from) => {
                    let read = async {
                        // An error: the sender is gone, and with it whoever could resume.
                        paused.subscribe().wait_for(|is_paused| !is_paused).await.ok();
                        read(topic, jobs, *from).await
                    };
                    let records = tokio::select! {
                        () = leaving.cancelled() => {
                            let (done, let_go) = oneshot::channel();
                            self.step = Step::Revoked(let_go);
                            return Some(GroupEvent::Revoked { partitions: vec![PARTITION], done });
                        }
                        records = read => records,
                    };
                    match records {
                        Ok(records) => {
                            *from = records.last().map_or(*from, |record| record.offset + 1);
                            return Some(GroupEvent::Records { partition: PARTITION, records });
                        }
                        // Trimmed is what was committed: the oldest record there is comes next.
                        Err(oldest) => *from = oldest,
                    }
                }
                Step::Revoked(let_go) => {
                    // An error means the same: the worker has let go.
                    let_go.await.unwrap_or_default();
                    is_ours.store(false, Ordering::Release);
                    self.step = Step::Left;
                }
                Step::Left => return None,
            }
        }
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::<EmbeddedCommitter>::clone(&self.committer)
    }
}

#[derive(Debug)]
struct EmbeddedCommitter {
    topic: Arc<Topic>,
    jobs: mpsc::Sender<Job>,
    leaving: CancellationToken,
    paused: watch::Sender<bool>,
    is_ours: AtomicBool,
}

#[async_trait]
impl Committer for EmbeddedCommitter {
    async fn commit(&self, partition: i32, next: i64) -> Result<(), BrokerError> {
        if partition != PARTITION || !self.is_ours.load(Ordering::Acquire) {
            return Err(BrokerError::Refused(format!("partition {partition} is not ours")));
        }
        self.topic.set_committed(next);
        let job = Job::Commit { topic: Arc::clone(&self.topic), next };
        self.jobs.send(job).await.map_err(|_| super::stopped())
    }

    fn commit_later(&self, _partition: i32, next: i64) {
        self.topic.set_committed(next);
        // With a full queue the next one makes up for it.
        self.jobs
            .try_send(Job::Commit { topic: Arc::clone(&self.topic), next })
            .unwrap_or_default();
    }

    async fn pause(&self, _partition: i32) {
        self.paused.send_replace(true);
    }

    async fn resume(&self, _partition: i32) {
        self.paused.send_replace(false);
    }

    fn leave(&self) {
        self.leaving.cancel();
    }

    async fn lag(&self) -> BTreeMap<i32, i64> {
        let lag = self.topic.end() - self.topic.committed().unwrap_or_default();
        BTreeMap::from([(PARTITION, lag)])
    }
}

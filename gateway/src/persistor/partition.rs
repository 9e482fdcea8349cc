//! One partition, as long as it is ours: batch after batch into the database, then into the log.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::Utc;
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Backoff, Persistor, RESUME_AT,
    batch::{self, Accepted, Decoded, Outcome},
    publish::Ordered,
};
use crate::{
    broker::{Committer, Incoming, Outgoing},
    protocol::records::encode_persisted,
    store::{Batch, Persisted, StoreError},
};

/// Longest reason in the header of a dead letter.
const REASON_CHARS_MAX: usize = 1_000;

/// How long the last commit of a partition may take.
const COMMIT_LIMIT: Duration = Duration::from_secs(2);

/// Attempts at a whole batch before its halves are tried.
const WHOLE_ATTEMPTS: u64 = 3;

/// Under load the offset is committed this often; when nothing waits, at once.
const COMMIT_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Partition {
    pub(super) persistor: Persistor,
    pub(super) publisher: Ordered,
    pub(super) committer: Arc<dyn Committer>,
    pub(super) number: i32,
    /// The offset that was committed when the partition was taken over.
    pub(super) committed: Option<i64>,
    /// The partition was taken over without its position.
    pub(super) is_unread: bool,
    /// The position in the database as far as this task knows.
    pub(super) position: Option<i64>,
    /// The offset after what is stored and published, once something is.
    pub(super) finished: Option<i64>,
    /// Set by whoever paused the partition because too much waits here.
    pub(super) is_paused: Arc<Mutex<bool>>,
    pub(super) revoked: CancellationToken,
}

/// Why a partition's task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The partition was taken away: what is not finished, its next owner does again.
    Revoked,
    /// The database went back behind what this task has stored there. Only a new start reads what it forgot.
    WentBack,
}

/// Why a batch was not stored.
enum Refusal {
    End(End),
    /// The database refuses a message of it.
    Rejected(StoreError),
    /// The database does not manage it in time; perhaps it manages less.
    TooSlow,
}

impl From<End> for Refusal {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl Partition {
    /// Works until the partition is revoked, or cannot go on.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Vec<Incoming>>) -> End {
        let (mut committed, mut committed_at) = (None, Instant::now());
        let revoked = self.revoked.clone();
        if self.is_unread
            && let Err(end) = self.read_first_position().await
        {
            return end;
        }
        let end = loop {
            let records = tokio::select! {
                biased;
                () = revoked.cancelled() => break End::Revoked,
                records = waiting.recv() => records,
            };
            let Some(records) = records else { break End::Revoked };
            if let Err(end) = self.process(records).await {
                break end;
            }
            if waiting.len() <= RESUME_AT {
                self.resume().await;
            }
            if let Some(next) = self.finished.filter(|next| committed != Some(*next))
                && (waiting.is_empty() || committed_at.elapsed() >= COMMIT_EVERY)
            {
                self.committer.commit_later(self.number, next);
                (committed, committed_at) = (Some(next), Instant::now());
            }
        };
        if end == End::Revoked {
            self.commit().await;
        }
        end
    }

    /// Has records delivered again if they were paused while many waited.
    async fn resume(&self) {
        let mut is_paused = self.is_paused.lock().await;
        if *is_paused {
            self.committer.resume(self.number).await;
            *is_paused = false;
        }
    }

    /// Stores and publishes `records`.
    async fn process(&mut self, mut records: Vec<Incoming>) -> Result<(), End> {
        let batch_max = self.persistor.settings.batch_records_max;
        loop {
            let rest = records.split_off(batch_max.min(records.len()));
            let Some(next) = records.last().map(|last| last.offset + 1) else { return Ok(()) };
            let Decoded { accepted, unreadable } = batch::decode(records);
            for (record, error) in unreadable {
                self.bury(&record, &error.to_string()).await?;
            }
            self.store_and_publish(&accepted, next).await?;
            self.finished = Some(next);
            records = rest;
        }
    }

    async fn store_and_publish(&mut self, accepted: &[Accepted], next: i64) -> Result<(), End> {
        let started = Instant::now();
        let outcome = match self.store(accepted, next).await {
            Ok(outcome) => outcome,
            Err(Refusal::End(end)) => return Err(end),
            Err(Refusal::Rejected(error)) if accepted.len() <= 1 => {
                if let [Accepted { record, .. }] = accepted {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    let reason = format!("{error}: {}", source.unwrap_or_default());
                    self.bury(record, &reason).await?;
                }
                let next = self.position.map_or(next, |position| position.max(next));
                return self.skip_to(next).await;
            }
            // One of them is poisoned, or they are too many: halves, until it stands alone.
            Err(Refusal::Rejected(_) | Refusal::TooSlow) => {
                let (first, second) = accepted.split_at(accepted.len() / 2);
                let middle = second.first().map_or(next, |one| one.record.offset);
                Box::pin(self.store_and_publish(first, middle)).await?;
                return Box::pin(self.store_and_publish(second, next)).await;
            }
        };
        metrics::histogram!("persist_seconds").record(started.elapsed());
        metrics::counter!("messages_persisted_total").increment(outcome.new as u64);
        let repeats = accepted.len() - outcome.new.min(accepted.len());
        metrics::counter!("messages_repeated_total").increment(repeats as u64);
        if outcome.began_anew {
            tracing::warn!(
                kafka.partition = self.number,
                position = self.position,
                kafka.offset = next,
                "the log of partition {} began anew, or the database is an older one: nothing is lost, the position is reset",
                self.number
            );
            self.skip_to(next).await?;
        }
        let records: Vec<_> = outcome
            .to_publish
            .iter()
            .map(|message| Outgoing {
                topic: Arc::clone(&self.persistor.topics.persisted),
                key: Some(message.room_id.to_string().into()),
                value: Some(encode_persisted(message).into()),
                headers: Vec::new(),
            })
            .collect();
        for (_, reason) in self.publish(&records).await? {
            // The limits of a message are far below those of a record: a topic's setting must have been cut.
            tracing::error!(
                "the broker refuses a stored message, clients find it in the history: {reason}"
            );
        }
        Ok(())
    }

    /// One transaction, tried until the database is there. The position moves to `next`, never back.
    async fn store(&mut self, accepted: &[Accepted], next: i64) -> Result<Outcome, Refusal> {
        let mut backoff = Backoff::new("messages to be stored");
        for attempt in 1_u64.. {
            let position = self.position;
            match self.try_store(accepted, position.map_or(next, |p| p.max(next))).await {
                Ok(Some(outcome)) => {
                    backoff.succeeded();
                    return Ok(outcome);
                }
                // Somebody was quicker, or our own commit went through before its connection broke.
                Ok(None) => self.read_position().await?,
                Err(error @ (StoreError::Rejected(_) | StoreError::Corrupt(_))) => {
                    return Err(Refusal::Rejected(error));
                }
                Err(error @ StoreError::Unavailable(_)) => {
                    self.wait(&mut backoff, &error).await?;
                    if attempt >= WHOLE_ATTEMPTS && accepted.len() > 1 {
                        return Err(Refusal::TooSlow);
                    }
                }
            }
            if self.revoked.is_cancelled() {
                break;
            }
        }
        Err(End::Revoked.into())
    }

    /// Waits before the next attempt, unless the partition is taken away.
    async fn wait(&self, backoff: &mut Backoff, error: &StoreError) -> Result<(), End> {
        let waited = self.revoked.run_until_cancelled(backoff.failed(error)).await;
        waited.ok_or(End::Revoked)
    }

    /// `None`: the position is another one.
    async fn try_store(
        &mut self,
        accepted: &[Accepted],
        next: i64,
    ) -> Result<Option<Outcome>, StoreError> {
        let Persistor { store, topics, .. } = &self.persistor;
        let newest = store.newest_ids(&batch::rooms(accepted)).await?;
        let messages = batch::messages(accepted, &newest, Utc::now());
        let (partition, expected) = (self.number, self.position);
        let batch =
            Batch { topic: &topics.messages, partition, expected, next, messages: &messages };
        match store.persist(batch).await? {
            Persisted::PositionMoved => Ok(None),
            Persisted::Stored(stored) => {
                self.position = Some(next);
                let offsets = accepted.iter().map(|one| one.record.offset);
                Ok(Some(batch::outcome(offsets, stored, expected)))
            }
        }
    }

    /// Sets the position to `next`, in whichever direction.
    async fn skip_to(&mut self, next: i64) -> Result<(), End> {
        let mut backoff = Backoff::new("positions to be set");
        while !self.revoked.is_cancelled() {
            match self.try_store(&[], next).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => self.read_position().await?,
                Err(error) => self.wait(&mut backoff, &error).await?,
            }
        }
        Err(End::Revoked)
    }

    /// Reads the position of a partition that was taken over without it. What lies between a lower position and the
    /// committed offset would never be read: then only a new start does.
    async fn read_first_position(&mut self) -> Result<(), End> {
        self.read_position().await?;
        if self.position < self.committed { Err(End::WentBack) } else { Ok(()) }
    }

    /// Reads the position anew. One that went back means a database that has forgotten what it had stored: a failover to
    /// a replica that lagged, a backup that was restored.
    async fn read_position(&mut self) -> Result<(), End> {
        let mut backoff = Backoff::new("positions to be read");
        let topic = &self.persistor.topics.messages;
        loop {
            match self.persistor.store.position(topic, self.number).await {
                Ok(position) => {
                    tracing::info!(
                        kafka.partition = self.number,
                        position,
                        "the position of partition {} is another one: the batch is split anew",
                        self.number
                    );
                    if position < self.position {
                        return Err(End::WentBack);
                    }
                    self.position = position;
                    return Ok(());
                }
                Err(error) => self.wait(&mut backoff, &error).await?,
            }
        }
    }

    /// Publishes until the partition is taken away; its next owner publishes again.
    async fn publish(&self, records: &[Outgoing]) -> Result<Vec<(usize, String)>, End> {
        let published = self.revoked.run_until_cancelled(self.publisher.publish(records)).await;
        published.ok_or(End::Revoked)
    }

    /// Commits what is finished before the partition goes to somebody else, who would do it again otherwise.
    async fn commit(&self) {
        let Some(next) = self.finished else { return };
        let commit = timeout(COMMIT_LIMIT, self.committer.commit(self.number, next)).await;
        if let Ok(Err(error)) = commit {
            tracing::debug!(%error, "partition {} goes without a last commit: {error}", self.number);
        }
    }

    /// Publishes a record that cannot be stored, as it is, to the dead letters.
    async fn bury(&self, record: &Incoming, reason: &str) -> Result<(), End> {
        let Persistor { topics, .. } = &self.persistor;
        metrics::counter!("dead_letters_total").increment(1);
        tracing::error!(
            kafka.partition = self.number,
            kafka.offset = record.offset,
            "a record cannot be stored, it goes to {}: {reason}",
            topics.dead_letters
        );
        let headers = vec![
            ("reason", Bytes::from(reason.chars().take(REASON_CHARS_MAX).collect::<String>())),
            ("topic", Bytes::from(topics.messages.to_string())),
            ("partition", Bytes::from(self.number.to_string())),
            ("offset", Bytes::from(record.offset.to_string())),
        ];
        let topic = Arc::clone(&topics.dead_letters);
        let (key, value) = (record.key.clone(), record.value.clone());
        let mut letter = Outgoing { topic, key, value, headers };
        if let [(_, refusal)] = &self.publish(std::slice::from_ref(&letter)).await?[..] {
            letter.value = None;
            letter.headers.push(("value-left-out", Bytes::from(refusal.clone())));
            for (_, reason) in self.publish(&[letter]).await? {
                tracing::error!(kafka.offset = record.offset, "a dead letter is refused: {reason}");
            }
        }
        Ok(())
    }
}

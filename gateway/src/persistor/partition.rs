//! One partition, as long as it is ours: batch after batch into the database, then into the log.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::Utc;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Backoff, Persistor,
    batch::{self, Decoded, Outcome},
    publish::Ordered,
};
use crate::{
    broker::{BrokerError, Committer, Incoming, Outgoing},
    protocol::records::{Produced, RecordError, encode_persisted},
    store::{Batch, Persisted, StoreError},
};

/// Under load the offset is committed this often; when nothing waits, at once.
const COMMIT_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Partition {
    pub(super) persistor: Persistor,
    pub(super) publisher: Ordered,
    pub(super) committer: Arc<dyn Committer>,
    pub(super) number: i32,
    /// The position in the database as far as this task knows.
    pub(super) position: Option<i64>,
    pub(super) revoked: CancellationToken,
}

/// The partition was taken away in the middle: what is not finished, its next owner does again.
struct Revoked;

/// Why a batch was not stored.
enum Refusal {
    Revoked,
    /// The database refuses a message of it.
    Rejected(StoreError),
}

impl Partition {
    /// Works until the partition is revoked.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Vec<Incoming>>) {
        let mut committed_at = Instant::now();
        let mut uncommitted = None;
        let revoked = self.revoked.clone();
        loop {
            let records = tokio::select! {
                biased;
                () = revoked.cancelled() => break,
                records = waiting.recv() => records,
            };
            let Some(records) = records else { break };
            if let Ok(next) = self.process(records).await {
                uncommitted = Some(next);
            } else {
                break;
            }
            if waiting.is_empty() || committed_at.elapsed() >= COMMIT_EVERY {
                self.commit(uncommitted.take()).await;
                committed_at = Instant::now();
            }
        }
        self.commit(uncommitted).await;
    }

    /// Stores and publishes `records`. Returns the offset after them.
    async fn process(&mut self, mut records: Vec<Incoming>) -> Result<i64, Revoked> {
        let batch_max = self.persistor.settings.batch_records_max;
        let mut next = self.position.unwrap_or_default();
        while !records.is_empty() {
            let rest = records.split_off(batch_max.min(records.len()));
            if let Some(last) = records.last() {
                next = last.offset + 1;
            }
            let Decoded { produced, unreadable } = batch::decode(records);
            for (record, error) in unreadable {
                self.bury(&record, &error).await;
            }
            self.store_and_publish(&produced, next).await?;
            records = rest;
        }
        Ok(next)
    }

    async fn store_and_publish(
        &mut self,
        produced: &[(i64, Produced)],
        next: i64,
    ) -> Result<(), Revoked> {
        let started = Instant::now();
        let outcome = match self.store(produced, next).await {
            Ok(outcome) => outcome,
            Err(Refusal::Revoked) => return Err(Revoked),
            Err(Refusal::Rejected(error)) if produced.len() <= 1 => {
                if let [(offset, produced)] = produced {
                    self.bury_rejected(*offset, produced, &error).await;
                }
                let next = self.position.map_or(next, |position| position.max(next));
                return self.skip_to(next).await;
            }
            // One of them is poisoned: halves, until it stands alone.
            Err(Refusal::Rejected(_)) => {
                let (first, second) = produced.split_at(produced.len() / 2);
                let middle = second.first().map_or(next, |(offset, _)| *offset);
                Box::pin(self.store_and_publish(first, middle)).await?;
                return Box::pin(self.store_and_publish(second, next)).await;
            }
        };
        metrics::histogram!("persist_seconds").record(started.elapsed());
        metrics::counter!("messages_persisted_total").increment(outcome.new as u64);
        let repeats = produced.len() - outcome.new.min(produced.len());
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
                key: Bytes::from(message.room_id.to_string()),
                value: encode_persisted(message).into(),
                headers: Vec::new(),
            })
            .collect();
        if let Err(error) = self.publisher.publish(&records).await {
            // The limits of a message are far below those of a record: a topic's setting must have been cut.
            tracing::error!(%error, "the broker refuses stored messages, clients find them in the history: {error}");
        }
        Ok(())
    }

    /// One transaction, tried until the database is there. The position moves to `next`, never back.
    async fn store(&mut self, produced: &[(i64, Produced)], next: i64) -> Result<Outcome, Refusal> {
        let mut backoff = Backoff::new("messages to be stored");
        loop {
            let position = self.position;
            match self.try_store(produced, position.map_or(next, |p| p.max(next))).await {
                Ok(Some(outcome)) => {
                    backoff.succeeded();
                    return Ok(outcome);
                }
                // Somebody was quicker, or our own commit went through before its connection broke.
                Ok(None) => self.read_position().await.map_err(|Revoked| Refusal::Revoked)?,
                Err(error @ (StoreError::Rejected(_) | StoreError::Corrupt(_))) => {
                    return Err(Refusal::Rejected(error));
                }
                Err(error @ StoreError::Unavailable(_)) => {
                    tokio::select! {
                        () = backoff.failed(&error) => {}
                        () = self.revoked.cancelled() => return Err(Refusal::Revoked),
                    }
                }
            }
            if self.revoked.is_cancelled() {
                return Err(Refusal::Revoked);
            }
        }
    }

    /// `None`: the position is another one.
    async fn try_store(
        &mut self,
        produced: &[(i64, Produced)],
        next: i64,
    ) -> Result<Option<Outcome>, StoreError> {
        let Persistor { store, topics, .. } = &self.persistor;
        let newest = store.newest_ids(&batch::rooms(produced)).await?;
        let messages = batch::messages(produced, &newest, Utc::now());
        let (partition, expected) = (self.number, self.position);
        let batch =
            Batch { topic: &topics.messages, partition, expected, next, messages: &messages };
        match store.persist(batch).await? {
            Persisted::PositionMoved => Ok(None),
            Persisted::Stored(stored) => {
                self.position = Some(next);
                let offsets = produced.iter().map(|(offset, _)| *offset);
                Ok(Some(batch::outcome(offsets, stored, expected)))
            }
        }
    }

    /// Sets the position to `next`, in whichever direction.
    async fn skip_to(&mut self, next: i64) -> Result<(), Revoked> {
        let mut backoff = Backoff::new("positions to be set");
        loop {
            match self.try_store(&[], next).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => self.read_position().await?,
                Err(error) => {
                    tokio::select! {
                        () = backoff.failed(&error) => {}
                        () = self.revoked.cancelled() => return Err(Revoked),
                    }
                }
            }
            if self.revoked.is_cancelled() {
                return Err(Revoked);
            }
        }
    }

    async fn read_position(&mut self) -> Result<(), Revoked> {
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
                    self.position = position;
                    return Ok(());
                }
                Err(error) => {
                    tokio::select! {
                        () = backoff.failed(&error) => {}
                        () = self.revoked.cancelled() => return Err(Revoked),
                    }
                }
            }
        }
    }

    async fn commit(&self, next: Option<i64>) {
        let Some(next) = next else { return };
        if let Err(error) = self.committer.commit(self.number, next).await {
            // Not lost: what is stored and published is recognised when it comes again.
            tracing::warn!(
                %error,
                kafka.partition = self.number,
                kafka.offset = next,
                "could not commit partition {}: {error}",
                self.number
            );
        }
    }

    /// Publishes a record that is no message to the dead letters.
    async fn bury(&self, record: &Incoming, error: &RecordError) {
        let key = record.key.clone().unwrap_or_default();
        self.dead_letter(record.offset, key, record.value.clone(), &error.to_string()).await;
    }

    /// Publishes a message that the database refuses to the dead letters, encoded anew.
    async fn bury_rejected(&self, offset: i64, produced: &Produced, error: &StoreError) {
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let Produced { sender_id, draft } = produced;
        let value = crate::protocol::records::encode_produced(*sender_id, draft, Utc::now());
        let key = Bytes::from(draft.room_id.to_string());
        self.dead_letter(offset, key, Some(value.into()), &format!("{error}: {source}")).await;
    }

    async fn dead_letter(&self, offset: i64, key: Bytes, value: Option<Bytes>, reason: &str) {
        let Persistor { topics, .. } = &self.persistor;
        metrics::counter!("dead_letters_total").increment(1);
        tracing::error!(
            kafka.partition = self.number,
            kafka.offset = offset,
            "a record cannot be stored, it goes to {}: {reason}",
            topics.dead_letters
        );
        let headers = vec![
            ("reason", Bytes::from(reason.to_owned())),
            ("topic", Bytes::from(topics.messages.to_string())),
            ("partition", Bytes::from(self.number.to_string())),
            ("offset", Bytes::from(offset.to_string())),
        ];
        let topic = Arc::clone(&topics.dead_letters);
        let mut letter = Outgoing { topic, key, value: value.unwrap_or_default(), headers };
        if let Err(BrokerError::Refused(refusal)) =
            self.publisher.publish(std::slice::from_ref(&letter)).await
        {
            letter.value = Bytes::new();
            letter.headers.push(("value-left-out", Bytes::from(refusal)));
            if let Err(error) = self.publisher.publish(&[letter]).await {
                tracing::error!(%error, kafka.offset = offset, "a dead letter was refused: {error}");
            }
        }
    }
}

//! The producer: idempotent, acks of all in-sync replicas, replaced when it fails for good.

use std::{fmt, sync::Arc, thread, time::Duration};

use async_trait::async_trait;
use parking_lot::RwLock;
use rdkafka::{
    ClientConfig,
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _, PurgeConfig},
};

use super::{KafkaSettings, Quiet, broker_error};
use crate::broker::{BrokerError, Outgoing, Patience, Publisher, Report};

type Producer = FutureProducer<Quiet>;

/// Hands records to librdkafka without waiting.
#[derive(Clone)]
pub(super) struct KafkaPublisher {
    config: ClientConfig,
    /// Replaced under the write lock: nothing is queued for the next one before the last one was purged.
    current: Arc<RwLock<Producer>>,
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPublisher").finish_non_exhaustive()
    }
}

impl KafkaPublisher {
    pub(super) fn new(settings: &KafkaSettings, patience: Patience) -> Result<Self, BrokerError> {
        let mut config = settings.client_config();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", settings.linger.as_millis().to_string())
            .set("queue.buffering.max.messages", settings.queue_records_max.to_string());
        match patience {
            Patience::Limited(limit) => {
                config.set("delivery.timeout.ms", limit.as_millis().to_string());
            }
            Patience::Unlimited => {
                config.set("delivery.timeout.ms", "0").set("enable.gapless.guarantee", "true");
            }
        }
        let producer = create(&config)?;
        Ok(Self { config, current: Arc::new(RwLock::new(producer)) })
    }

    /// What becomes of a record that was queued, or was not.
    fn report(&self, queued: Result<DeliveryFuture, KafkaError>) -> Result<Report, BrokerError> {
        let delivery = queued.map_err(|error| {
            self.replace_if_failed();
            broker_error(&error)
        })?;
        let publisher = self.clone();
        Ok(Box::pin(async move {
            match delivery.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err((error, _))) => {
                    publisher.replace_if_failed();
                    Err(broker_error(&error))
                }
                Err(_) => Err(BrokerError::ProducerFailed("the producer is gone".to_owned())),
            }
        }))
    }

    /// Puts a new producer in the place of one that has failed for good. What that one still held, fails.
    fn replace_if_failed(&self) {
        if self.current.read().client().fatal_error().is_none() {
            return;
        }
        let mut current = self.current.write();
        // Somebody else may have been quicker.
        let Some((code, reason)) = current.client().fatal_error() else { return };
        tracing::error!(%code, "the Kafka producer failed for good, a new one takes over: {reason}");
        match create(&self.config) {
            Ok(new) => {
                current.purge(PurgeConfig::default().queue().inflight());
                let old = std::mem::replace(&mut *current, new);
                // Its end joins a thread and may wait for the network.
                thread::spawn(move || drop(old));
            }
            Err(error) => tracing::error!(%error, "cannot make a new Kafka producer: {error}"),
        }
    }
}

fn create(config: &ClientConfig) -> Result<Producer, BrokerError> {
    config
        .create_with_context(Quiet::default())
        .map_err(|error| BrokerError::Refused(error.to_string()))
}

/// Hands a record to librdkafka, which copies it.
fn queue(producer: &Producer, record: &Outgoing) -> Result<DeliveryFuture, KafkaError> {
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(&value[..]) })
    });
    let mut outgoing = FutureRecord::<[u8], [u8]>::to(&record.topic).headers(headers);
    outgoing.key = record.key.as_deref();
    outgoing.payload = record.value.as_deref();
    producer.send_result(outgoing).map_err(|(error, _)| error)
}

#[async_trait]
impl Publisher for KafkaPublisher {
    fn publish(&self, record: Outgoing) -> Result<Report, BrokerError> {
        let queued = queue(&self.current.read(), &record);
        self.report(queued)
    }

    fn publish_all(&self, records: &[Outgoing]) -> Vec<Result<Report, BrokerError>> {
        let mut outcomes = Vec::with_capacity(records.len());
        // Held for all of them: none goes to a new producer while an earlier one may still fail in the old one.
        let producer = self.current.read();
        for record in records {
            let queued = queue(&producer, record);
            let goes_on = match &queued {
                Ok(_) => true,
                Err(error) => matches!(broker_error(error), BrokerError::Refused(_)),
            };
            outcomes.push(queued);
            if !goes_on {
                break;
            }
        }
        drop(producer);
        outcomes.into_iter().map(|queued| self.report(queued)).collect()
    }

    async fn flush(&self, limit: Duration) -> bool {
        let producer = self.current.read().clone();
        tokio::task::spawn_blocking(move || producer.flush(limit).is_ok()).await.unwrap_or(false)
    }
}

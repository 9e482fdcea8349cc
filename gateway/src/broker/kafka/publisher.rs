//! The producer: idempotent, acks of all in-sync replicas, replaced when it fails for good.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::RwLock;
use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _, PurgeConfig},
};

use super::{
    KafkaSettings, broker_error,
    client::{self, Health},
};
use crate::broker::{BrokerError, Outgoing, Patience, Publisher, Report};

type Producer = FutureProducer<Context>;

/// Hands records to librdkafka without waiting. Clones share it.
#[derive(Clone)]
pub(super) struct KafkaPublisher(Arc<Shared>);

struct Shared {
    config: ClientConfig,
    /// Replaced under the write lock: nothing is queued for the next one before the last one was purged.
    current: RwLock<Current>,
}

struct Current {
    producer: Producer,
    health: Health,
}

/// Has its producer replaced when that is stranded: records without a time-out would wait for ever.
struct Context {
    health: Health,
    publisher: Arc<OnceLock<Weak<Shared>>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.complain(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.health.look_at(&statistics);
        if self.health.is_stranded()
            && let Some(publisher) = self.publisher.get().and_then(Weak::upgrade)
        {
            // Not here: this is the thread of the producer that goes.
            thread::spawn(move || KafkaPublisher(publisher).replace_if_failed());
        }
    }
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
        let publisher = Arc::new(OnceLock::new());
        let current = RwLock::new(Current::new(&config, &publisher)?);
        let shared = Arc::new(Shared { config, current });
        // Empty until here, and set only here.
        publisher.get_or_init(|| Arc::downgrade(&shared));
        Ok(Self(shared))
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
        if self.0.current.read().why_useless().is_none() {
            return;
        }
        let mut current = self.0.current.write();
        // Somebody else may have been quicker.
        let Some(reason) = current.why_useless() else { return };
        tracing::error!("the Kafka producer failed for good, a new one takes over: {reason}");
        let publisher = Arc::new(OnceLock::from(Arc::downgrade(&self.0)));
        match Current::new(&self.0.config, &publisher) {
            Ok(new) => {
                current.producer.purge(PurgeConfig::default().queue().inflight());
                client::end_apart(std::mem::replace(&mut *current, new).producer);
            }
            Err(error) => tracing::error!(%error, "cannot make a new Kafka producer: {error}"),
        }
    }
}

impl Current {
    fn new(
        config: &ClientConfig,
        publisher: &Arc<OnceLock<Weak<Shared>>>,
    ) -> Result<Self, BrokerError> {
        let health = Health::default();
        let context = Context { health: health.clone(), publisher: Arc::clone(publisher) };
        let producer = config.create_with_context(context);
        let producer = producer.map_err(|error| BrokerError::Refused(error.to_string()))?;
        Ok(Self { producer, health })
    }

    fn why_useless(&self) -> Option<String> {
        let fatal = self.producer.client().fatal_error().map(|(_, reason)| reason);
        let stranded = || self.health.is_stranded().then(|| "it knows no broker".to_owned());
        fatal.or_else(stranded)
    }
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
        let queued = queue(&self.0.current.read().producer, &record);
        self.report(queued)
    }

    fn publish_all(&self, records: &[Outgoing]) -> Vec<Result<Report, BrokerError>> {
        let mut outcomes = Vec::with_capacity(records.len());
        // Held for all of them: none goes to a new producer while an earlier one may still fail in the old one.
        let current = self.0.current.read();
        for record in records {
            let queued = queue(&current.producer, record);
            let goes_on = match &queued {
                Ok(_) => true,
                Err(error) => matches!(broker_error(error), BrokerError::Refused(_)),
            };
            outcomes.push(queued);
            if !goes_on {
                break;
            }
        }
        drop(current);
        outcomes.into_iter().map(|queued| self.report(queued)).collect()
    }

    async fn flush(&self, limit: Duration) -> bool {
        let producer = self.0.current.read().producer.clone();
        tokio::task::spawn_blocking(move || producer.flush(limit).is_ok()).await.unwrap_or(false)
    }
}

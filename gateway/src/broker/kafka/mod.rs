//! Kafka through librdkafka.
//!
//! Everything of librdkafka that blocks runs on threads of its own: metadata and watermarks on the blocking pool, a
//! consumer's polling on an OS thread.

mod client;
mod committer;
mod group;
mod membership;
mod publisher;
mod tail;
mod topics;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::RwLock;
use rdkafka::{
    ClientConfig,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::time::Instant;

use super::{Broker, BrokerError, Group, Patience, Publisher, Tail, TopicSpec};
use client::{STATISTICS_EVERY, Watched};

/// Longest wait for metadata, watermarks and the like.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How Kafka is reached.
#[derive(Clone)]
pub struct KafkaSettings {
    /// `host:port,host:port`.
    pub brokers: String,
    pub client_id: String,
    /// librdkafka's names and values: `security.protocol`, `sasl.username`, ...
    pub security: Vec<(String, String)>,
    pub linger: Duration,
    /// Records that wait for the brokers; above it publishing fails at once.
    pub queue_records_max: usize,
    /// After which a dead member's partitions are given to others.
    pub session_timeout: Duration,
    /// How often new partitions are looked for.
    pub topic_refresh: Duration,
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

/// A Kafka cluster.
#[derive(Clone)]
pub struct KafkaBroker {
    settings: KafkaSettings,
    /// For questions about the cluster. Replaced when it fails: nothing of it is worth keeping.
    admin: Arc<RwLock<Arc<topics::Admin>>>,
}

impl fmt::Debug for KafkaBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaBroker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl KafkaBroker {
    /// Needs no broker to be reachable; fails on settings that librdkafka does not take.
    pub fn new(settings: KafkaSettings) -> Result<Self, BrokerError> {
        let admin = Arc::new(topics::admin(&settings)?);
        Ok(Self { settings, admin: Arc::new(RwLock::new(admin)) })
    }

    fn admin(&self) -> Arc<topics::Admin> {
        Arc::clone(&self.admin.read())
    }

    fn replace_admin(&self, failed: &Arc<topics::Admin>) {
        let mut admin = self.admin.write();
        // Somebody else may have been quicker.
        if Arc::ptr_eq(&admin, failed)
            && let Ok(new) = topics::admin(&self.settings)
        {
            client::end_apart(std::mem::replace(&mut *admin, Arc::new(new)));
        }
    }
}

impl KafkaSettings {
    /// What producers, consumers and admin clients have in common.
    fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("statistics.interval.ms", STATISTICS_EVERY.as_millis().to_string())
            // A question about a topic that somebody has deleted shall not make it, with the cluster's defaults.
            .set("allow.auto.create.topics", "false")
            .set("topic.metadata.refresh.interval.ms", self.topic_refresh.as_millis().to_string())
            .set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in &self.security {
            config.set(name, value);
        }
        config
    }
}

#[async_trait]
impl Broker for KafkaBroker {
    fn publisher(&self, patience: Patience) -> Result<Arc<dyn Publisher>, BrokerError> {
        Ok(Arc::new(publisher::KafkaPublisher::new(&self.settings, patience)?))
    }

    async fn tail(&self, topic: &str) -> Result<Box<dyn Tail>, BrokerError> {
        Ok(Box::new(tail::KafkaTail::new(&self.settings, topic).await?))
    }

    async fn group(&self, topic: &str, group: &str) -> Result<Box<dyn Group>, BrokerError> {
        Ok(Box::new(group::KafkaGroup::join(&self.settings, topic, group)?))
    }

    async fn create_topics(&self, topics: &[TopicSpec]) -> Result<Vec<Arc<str>>, BrokerError> {
        topics::create(&self.admin(), topics).await
    }

    async fn missing_topics(&self, topics: &[Arc<str>]) -> Result<Vec<Arc<str>>, BrokerError> {
        topics::missing(&self.admin(), topics).await
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        let started = Instant::now();
        let admin = self.admin();
        match topics::metadata(&admin).await {
            Ok(_) => Ok(started.elapsed()),
            Err(error) => {
                self.replace_admin(&admin);
                Err(error)
            }
        }
    }
}

fn broker_error(error: &KafkaError) -> BrokerError {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::QueueFull) => BrokerError::QueueFull,
        Some(Code::MessageTimedOut) => BrokerError::TimedOut,
        Some(Code::Fatal | Code::PurgeQueue | Code::PurgeInflight | Code::GaplessGuarantee) => {
            BrokerError::ProducerFailed(error.to_string())
        }
        Some(
            Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTopic
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::InvalidConfig
            | Code::PolicyViolation,
        ) => BrokerError::Refused(error.to_string()),
        _ => BrokerError::Unavailable(error.to_string()),
    }
}

/// Runs what blocks off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BrokerError> + Send + 'static,
) -> Result<T, BrokerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(BrokerError::Unavailable(error.to_string())),
    }
}

//! Kafka through librdkafka.
//!
//! Everything of librdkafka that blocks runs on threads of its own: metadata and watermarks on the blocking pool, a
//! consumer's polling on an OS thread.

mod group;
mod publisher;
mod tail;
mod topics;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::time::Instant;

use super::{Broker, BrokerError, Group, Patience, Publisher, Tail, TopicSpec};

/// Longest wait for metadata, watermarks and the like.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the same complaint is repeated in the log.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

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
    /// For questions about the cluster.
    client: Arc<topics::Admin>,
}

impl fmt::Debug for KafkaBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaBroker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl KafkaBroker {
    /// Needs no broker to be reachable; fails on settings that librdkafka does not take.
    pub fn new(settings: KafkaSettings) -> Result<Self, BrokerError> {
        let client = Arc::new(topics::admin(&settings)?);
        Ok(Self { settings, client })
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
        topics::create(&self.client, topics).await
    }

    async fn missing_topics(&self, topics: &[Arc<str>]) -> Result<Vec<Arc<str>>, BrokerError> {
        topics::missing(&self.client, topics).await
    }

    async fn ping(&self) -> Result<Duration, BrokerError> {
        let started = Instant::now();
        topics::metadata(&self.client).await?;
        Ok(started.elapsed())
    }
}

/// librdkafka's own words into our log, at levels that let an operator sleep.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "kafka: {message}");
        }
        // A connection that fails is tried again; what follows from it is logged where it is handled.
        RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning
        | RDKafkaLogLevel::Notice
        | RDKafkaLogLevel::Info
        | RDKafkaLogLevel::Debug => tracing::debug!(facility, "kafka: {message}"),
    }
}

/// Logs and nothing else.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet(Arc<Complaints>);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.note(&error, reason);
    }
}

/// Errors that do not heal by waiting are told to the operator, each now and then; the others to those who look closely.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Vec<(RDKafkaErrorCode, Instant)>>);

impl Complaints {
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        let needs_somebody = matches!(
            code,
            Some(
                Code::Authentication
                    | Code::SaslAuthenticationFailed
                    | Code::SSL
                    | Code::TopicAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::ClusterAuthorizationFailed
                    | Code::Resolve
                    | Code::UnknownTopicOrPartition
                    | Code::UnknownTopic
            )
        );
        if let Some(code) = code.filter(|_| needs_somebody) {
            let mut told = self.0.lock();
            told.retain(|(_, at)| at.elapsed() < COMPLAIN_EVERY);
            if !told.iter().any(|(told, _)| *told == code) {
                told.push((code, Instant::now()));
                tracing::warn!(%error, "Kafka refuses us: {reason}");
                return;
            }
        }
        tracing::debug!(%error, "kafka: {reason}");
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

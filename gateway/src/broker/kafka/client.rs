//! What every client of librdkafka tells us: its log, its complaints, and whether it still knows a broker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Statistics,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

/// How often the same complaint is repeated in the log.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

/// How often a client says which brokers it knows.
pub(super) const STATISTICS_EVERY: Duration = Duration::from_secs(1);

/// What is known of one client. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Health(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_stranded: AtomicBool,
    told: Mutex<Vec<(RDKafkaErrorCode, Instant)>>,
}

impl Health {
    /// Whether another client must take the place of this one. For one thing when it has forgotten every broker, those it was configured with included: it never
    /// recovers. A cluster whose only broker is not registered yet (just started, or frozen for a
    /// while) answers with an empty list, and librdkafka believes it (confluentinc/librdkafka#5301).
    pub(super) fn is_stranded(&self) -> bool {
        self.0.is_stranded.load(Ordering::Acquire)
    }

    pub(super) fn look_at(&self, statistics: &Statistics) {
        let knows_one = statistics
            .brokers
            .values()
            .any(|broker| matches!(broker.source.as_str(), "learned" | "configured"));
        if !knows_one {
            self.strand("has forgotten every broker");
        }
    }

    /// The client cannot go on, for this reason.
    pub(super) fn strand(&self, reason: &str) {
        if !self.0.is_stranded.swap(true, Ordering::AcqRel) {
            tracing::warn!("a Kafka client {reason}, another one takes its place");
        }
    }

    /// Errors that do not heal by waiting are told to the operator, each now and then; the others to those who look closely.
    pub(super) fn complain(&self, error: &KafkaError, reason: &str) {
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
            let mut told = self.0.told.lock();
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

/// Keeps an eye on its client and does nothing else.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched(pub(super) Health);

impl ClientContext for Watched {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.complain(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.0.look_at(&statistics);
    }
}

impl ConsumerContext for Watched {}

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

/// Ends a client on a thread of its own: its end joins threads and may wait for the network.
pub(super) fn end_apart<T: Send + 'static>(client: T) {
    let ending = thread::Builder::new().name("kafka end".to_owned()).spawn(move || drop(client));
    if let Err(error) = ending {
        tracing::warn!(%error, "a Kafka client ended without a thread of its own: {error}");
    }
}

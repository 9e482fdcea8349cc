//! Logs and metrics of this process.
//!
//! Nothing here or anywhere logs a token, an e-mail address or what somebody wrote.

use std::{io::IsTerminal as _, sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::sleep;
use tracing::Level;
use tracing_subscriber::{
    EnvFilter,
    filter::{ParseError, filter_fn},
    util::TryInitError,
};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::LogFormat;

/// Upper bounds of every duration histogram, in seconds.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// How often histograms are condensed.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Libraries whose logs hold tokens, passwords or what somebody wrote, and the level from which on they do not.
const TALKATIVE: [(&str, Level); 3] = [
    ("tungstenite", Level::INFO),
    ("tokio_tungstenite", Level::INFO),
    // Warns of an unknown parameter of the URL with its value; `store` says its name.
    ("sqlx_postgres::options", Level::ERROR),
];

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("LOG_LEVEL: {0}")]
    Level(#[from] ParseError),
    #[error("logs are set up already: {0}")]
    Logs(#[from] TryInitError),
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] BuildError),
}

/// Sends logs to standard error: text for people, JSON for machines. Whatever `level` asks for, what libraries would say
/// of tokens, passwords and messages is left out.
pub fn start_logs(level: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(level)?;
    let is_text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let discreet = filter_fn(|metadata| may_log(metadata.target(), *metadata.level()));
    let registry = tracing_subscriber::registry().with(filter).with(discreet);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if is_text {
        registry.with(layer.with_target(false)).try_init()?;
    } else {
        registry.with(layer.json().flatten_event(true)).try_init()?;
    }
    Ok(())
}

fn may_log(target: &str, level: Level) -> bool {
    TALKATIVE.iter().all(|(module, least)| {
        let is_inside = target
            .strip_prefix(module)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        !is_inside || level <= *least
    })
}

/// The metrics of this process: one recorder, whoever asks.
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?;
    let handle = builder.install_recorder()?;
    describe();
    begin_counters();
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// Keeps histograms small, to the end of the process.
pub async fn upkeep(handle: PrometheusHandle) {
    loop {
        sleep(UPKEEP_EVERY).await;
        handle.run_upkeep();
    }
}

/// Counters that tell of trouble are there from the start: an alert on one that does not exist never fires.
fn begin_counters() {
    metrics::counter!("connections_refused_total").increment(0);
    metrics::counter!("sockets_closed_slow_total").increment(0);
    metrics::counter!("tail_gaps_total").increment(0);
    metrics::counter!("presence_errors_total").increment(0);
    metrics::counter!("dead_letters_total").increment(0);
}

fn describe() {
    use metrics::{
        describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram,
    };
    gauge!("tcp_connections", "open TCP connections");
    gauge!("sockets", "sockets in the namespace");
    counter!("connections_refused_total", "connections over the limit, answered 503");
    counter!("connects_total", "connects to the namespace, by outcome");
    counter!("disconnects_total", "disconnects, by reason");
    counter!("sockets_closed_slow_total", "sockets closed because they did not read");
    counter!("events_total", "events of clients, by event and outcome of the ack");
    histogram!("ack_seconds", "sendMessage: from the wire to the ack");
    histogram!("publish_seconds", "sendMessage: from the producer to its report");
    counter!("broadcasts_total", "persisted records read");
    counter!("broadcast_repeats_total", "persisted records that the room had heard before");
    counter!("deliveries_total", "newMessage events emitted");
    counter!("tail_gaps_total", "times the log no longer had what follows");
    histogram!("persist_seconds", "one batch into the database");
    counter!("messages_persisted_total", "messages stored");
    counter!("messages_repeated_total", "records whose message was stored before");
    counter!("dead_letters_total", "records that could not be stored");
    gauge!("persistor_lag_records", "records of a partition that are not committed");
    counter!("store_errors_total", "calls to the database that failed, by call and error");
    counter!("presence_errors_total", "calls to Redis that failed");
    gauge!("presence_pending", "presence commands that wait");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_never_log_what_was_sent_or_a_password() {
        let check = |target: &str, level: Level, expect: bool| {
            assert_eq!(may_log(target, level), expect, "{target} {level}");
        };
        check("tungstenite::protocol", Level::TRACE, false);
        check("tungstenite", Level::DEBUG, false);
        check("tungstenite::protocol", Level::WARN, true);
        check("sqlx_postgres::options::parse", Level::WARN, false);
        check("sqlx_postgres::options::parse", Level::ERROR, true);
        check("gateway::socket", Level::TRACE, true);
        check("tungstenite_like", Level::TRACE, true);
    }
}

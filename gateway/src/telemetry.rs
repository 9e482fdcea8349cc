//! Logs and metrics of this process.
//!
//! Nothing here or anywhere logs a token, an e-mail address or what somebody wrote.

use std::{io::IsTerminal as _, sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::sleep;
use tracing_subscriber::{EnvFilter, filter::ParseError, util::TryInitError};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::LogFormat;

/// Upper bounds of every duration histogram, in seconds.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// How often histograms are condensed.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

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

/// Sends logs to standard error: text for people, JSON for machines.
pub fn start_logs(level: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(level)?;
    let is_text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if is_text {
        registry.with(layer.with_target(false)).try_init()?;
    } else {
        registry.with(layer.json().flatten_event(true)).try_init()?;
    }
    Ok(())
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
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// Keeps histograms small, to the end of the process.
pub async fn upkeep(handle: PrometheusHandle) {
    loop {
        sleep(UPKEEP_EVERY).await;
        handle.run_upkeep();
    }
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

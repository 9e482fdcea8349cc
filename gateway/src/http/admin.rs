//! Probes, health of the backends, metrics: for operators, on the admin port.

use std::{
    fmt::Display,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Json, Router, extract::State, response::IntoResponse as _, response::Response, routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::HttpError;
use crate::{
    broker::Broker,
    presence::Presence,
    shutdown::Shutdown,
    state::{AppState, Readiness},
    store::Store,
};

/// A backend that takes longer than this to answer counts as down.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// The backends of this process, by the names that `/health` shows.
#[derive(Clone, Debug)]
pub struct Dependencies {
    pub broker: (&'static str, Arc<dyn Broker>),
    pub store: (&'static str, Arc<dyn Store>),
    /// A worker has none.
    pub presence: Option<(&'static str, Arc<dyn Presence>)>,
}

/// `/livez` and `/readyz` of a gateway.
pub fn probes(state: &AppState) -> Router {
    process_probes(state.readiness.clone(), state.shutdown.clone())
}

/// Everything on the admin port. The backends are empty until they are opened.
pub fn admin_router(
    dependencies: Arc<OnceLock<Dependencies>>,
    readiness: Readiness,
    shutdown: Shutdown,
    metrics: PrometheusHandle,
) -> Router {
    Router::new()
        .route("/health", get(health).with_state(dependencies))
        .route("/metrics", get(render).with_state(metrics))
        .merge(process_probes(readiness, shutdown))
        .fallback(async || HttpError::NoSuchRoute)
}

fn process_probes(readiness: Readiness, shutdown: Shutdown) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state((readiness, shutdown))
}

/// About this process alone: a backend's outage must not take every gateway out of rotation at once.
async fn readyz(
    State((readiness, shutdown)): State<(Readiness, Shutdown)>,
) -> (StatusCode, &'static str) {
    if shutdown.requested.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if readiness.is_positioned() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

async fn health(State(dependencies): State<Arc<OnceLock<Dependencies>>>) -> Response {
    let Some(dependencies) = dependencies.get() else {
        let body = json!({"status": "starting", "dependencies": {}});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    };
    let Dependencies { broker, store, presence } = dependencies.clone();
    let (broker_up, store_up, presence_up) =
        tokio::join!(timed(broker.1.ping()), timed(store.1.ping()), async {
            match &presence {
                Some((_, presence)) => Some(timed(presence.ping()).await),
                None => None,
            }
        },);
    let mut all = Map::new();
    all.insert(broker.0.to_owned(), broker_up);
    all.insert(store.0.to_owned(), store_up);
    if let (Some((name, _)), Some(up)) = (presence, presence_up) {
        all.insert(name.to_owned(), up);
    }
    let is_up = all.values().all(|one| one["status"] == "up");
    let (status, word) =
        if is_up { (StatusCode::OK, "up") } else { (StatusCode::SERVICE_UNAVAILABLE, "down") };
    (status, Json(json!({"status": word, "dependencies": all}))).into_response()
}

async fn timed(ping: impl Future<Output = Result<Duration, impl Display>>) -> Value {
    match timeout(PING_LIMIT, ping).await {
        Ok(Ok(latency)) => {
            let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
            json!({"status": "up", "latencyMs": f64::from(micros) / 1_000.0})
        }
        Ok(Err(error)) => json!({"status": "down", "error": error.to_string()}),
        Err(_) => json!({"status": "down", "error": format!("no answer in {PING_LIMIT:?}")}),
    }
}

async fn render(State(metrics): State<PrometheusHandle>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response()
}

//! HTTP: rooms and history for clients, probes and metrics for operators.
//!
//! Owns status codes and bodies (contract, section 2). Refuses to decide memberships: the store and
//! `authorise` do.

mod admin;
mod caller;
mod error;
mod rooms;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use http::{HeaderName, HeaderValue, Method, header};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
    timeout::RequestBodyTimeoutLayer,
};

use crate::{config, socket::Edge, state::AppState};

pub use admin::{Dependencies, admin_router, probes};
use error::HttpError;

/// What the handlers of clients' requests share.
#[derive(Clone, Debug)]
struct Rest {
    state: AppState,
    edge: Edge,
}

/// Everything on the public port: Socket.IO (`socket_io`), rooms, probes.
pub fn public_router(
    state: &AppState,
    edge: &Edge,
    socket_io: Router,
    settings: &config::Http,
    payload_bytes_max: usize,
) -> Router {
    let rest = Rest { state: state.clone(), edge: edge.clone() };
    let router = Router::new()
        .route("/rooms", get(rooms::list).post(rooms::create))
        .route("/rooms/{room_id}/join", post(rooms::join))
        .route("/rooms/{room_id}/leave", post(rooms::leave))
        .route("/rooms/{room_id}/members", get(rooms::members))
        .route("/rooms/{room_id}/messages", get(rooms::messages))
        .route("/users/{user_id}/presence", get(rooms::presence))
        .layer(DefaultBodyLimit::max(payload_bytes_max))
        .with_state(rest)
        .merge(probes(state))
        .fallback(async || HttpError::NoSuchRoute)
        .method_not_allowed_fallback(async || HttpError::MethodNotAllowed)
        .layer(CatchPanicLayer::custom(error::panicked))
        .merge(socket_io)
        // Like the header: a client that drips its body is not waited for.
        .layer(RequestBodyTimeoutLayer::new(settings.header_timeout));
    match cors(settings) {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

/// `None`: no other origin may ask.
fn cors(settings: &config::Http) -> Option<CorsLayer> {
    let origins = match &settings.cors_origins {
        None => AllowOrigin::mirror_request(),
        Some(list) if list.is_empty() => return None,
        Some(list) => {
            AllowOrigin::list(list.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
        }
    };
    let headers: [HeaderName; 2] = [header::AUTHORIZATION, header::CONTENT_TYPE];
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(headers)
            .allow_credentials(true)
            .max_age(std::time::Duration::from_hours(1)),
    )
}

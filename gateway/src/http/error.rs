//! Every way a request can fail, its status and its body.

use std::any::Any;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};

use crate::{
    authenticate::TokenError, presence::PresenceError, protocol::http::ErrorBody, store::StoreError,
};

/// How soon to try again when a backend is gone, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// What is wrong with the request and how to mend it.
    #[error("{0}")]
    BadRequest(String),
    #[error("not authenticated: {0}")]
    NotAuthenticated(#[source] TokenError),
    #[error("not a member of this room")]
    NotAMember,
    #[error("the room does not exist")]
    NoSuchRoom,
    /// `leave` of a room that one is not in, which may not exist either.
    #[error("nothing to leave")]
    NothingToLeave,
    #[error("already a member")]
    AlreadyAMember,
    #[error("no such route")]
    NoSuchRoute,
    #[error("no such method on this route")]
    MethodNotAllowed,
    #[error("the body is too large")]
    TooLarge,
    #[error("the gateway is draining")]
    Draining,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Presence(#[from] PresenceError),
}

impl HttpError {
    fn status_and_message(&self) -> (StatusCode, &str) {
        match self {
            Self::BadRequest(message) => (StatusCode::BAD_REQUEST, message),
            Self::NotAuthenticated(_) => (StatusCode::UNAUTHORIZED, "Not authenticated"),
            Self::NotAMember => (StatusCode::FORBIDDEN, "Not a member of this room"),
            Self::NoSuchRoom => (StatusCode::NOT_FOUND, "Room not found"),
            Self::NothingToLeave => (StatusCode::NOT_FOUND, "Not a member of this room"),
            Self::AlreadyAMember => (StatusCode::CONFLICT, "Already a member of this room"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "No such route"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "This route does not take this method")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::Draining | Self::Store(StoreError::Unavailable(_)) | Self::Presence(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "Temporarily unavailable")
            }
            Self::Store(StoreError::Rejected(_) | StoreError::Corrupt(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "Internal error")
            }
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (status, message) = self.status_and_message();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self, "a request failed: {self}");
        } else {
            tracing::debug!(error = %self, "refused a request: {self}");
        }
        let mut response = body(status, message);
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.parse().expect("a number"));
        } else if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, "Bearer".parse().expect("a word"));
        }
        response
    }
}

fn body(status: StatusCode, message: &str) -> Response {
    let error = status.canonical_reason().unwrap_or_default();
    let body = ErrorBody { status_code: status.as_u16(), error, message };
    (status, Json(body)).into_response()
}

/// The answer to a request whose handler panicked. The panic is in the log already.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    body(StatusCode::INTERNAL_SERVER_ERROR, "Internal error")
}

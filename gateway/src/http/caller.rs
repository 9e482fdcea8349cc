//! What a handler takes out of a request: who asks, ids in the path, the body.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::BytesRejection},
};
use http::{StatusCode, header::AUTHORIZATION, request::Parts};
use serde::de::DeserializeOwned;

use super::{HttpError, Rest};
use crate::{
    authenticate::{TokenError, bearer},
    chat::{RoomId, User, UserId},
};

/// Who asks, by the `Authorization` header. Also refuses while draining.
pub(super) struct Caller(pub(super) User);

impl FromRequestParts<Rest> for Caller {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, HttpError> {
        if rest.state.shutdown.requested.is_cancelled() {
            return Err(HttpError::Draining);
        }
        let token = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|header| header.to_str().ok())
            .ok_or(HttpError::NotAuthenticated(TokenError::Missing))?;
        let user = rest.state.authenticator.authenticate(bearer(token));
        user.map(Self).map_err(HttpError::NotAuthenticated)
    }
}

/// The room in the path.
pub(super) struct InRoom(pub(super) RoomId);

impl FromRequestParts<Rest> for InRoom {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, HttpError> {
        let text = segment(parts, rest).await?;
        let room = RoomId::parse(&text);
        room.map(Self).map_err(|error| HttpError::BadRequest(format!("roomId: {error}")))
    }
}

/// The user in the path.
pub(super) struct OfUser(pub(super) UserId);

impl FromRequestParts<Rest> for OfUser {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, HttpError> {
        let text = segment(parts, rest).await?;
        let user = UserId::parse(&text);
        user.map(Self).map_err(|error| HttpError::BadRequest(format!("userId: {error}")))
    }
}

async fn segment(parts: &mut Parts, rest: &Rest) -> Result<String, HttpError> {
    let path = Path::<String>::from_request_parts(parts, rest).await;
    let Path(text) = path.map_err(|error| HttpError::BadRequest(error.body_text()))?;
    Ok(text)
}

/// A JSON body, whatever its content type says.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Rest> for JsonBody<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, rest: &Rest) -> Result<Self, HttpError> {
        let bytes = Bytes::from_request(request, rest).await.map_err(|error| unreadable(&error))?;
        // serde would take an array for a struct as well.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(HttpError::BadRequest("the body is not a JSON object".to_owned()));
        }
        let value = serde_json::from_slice(&bytes);
        value
            .map(Self)
            .map_err(|error| HttpError::BadRequest(format!("the body is not valid: {error}")))
    }
}

fn unreadable(error: &BytesRejection) -> HttpError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        HttpError::TooLarge
    } else {
        HttpError::BadRequest(error.body_text())
    }
}

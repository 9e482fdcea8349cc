//! Rooms, members, history, presence: one function per route.

use std::time::Duration;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use http::StatusCode;
use serde::Deserialize;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::task::TaskTracker;

use super::{
    HttpError, Rest,
    caller::{Caller, InRoom, JsonBody, OfUser},
};
use crate::{
    authorise::AuthoriseError,
    chat::{MessageId, RoomId, RoomName, UserId},
    protocol::{
        acks::MessageBody,
        format_time,
        http::{JoinedBody, MemberBody, NewRoom, PresenceBody, PresenceSocket, RoomBody},
    },
    store::{Joined, Left, OutboxEntry, Page},
};

/// Largest page of history, in messages.
const PAGE_MESSAGES_MAX: u32 = 100;

/// Page of history when `limit` is not given, in messages.
const PAGE_MESSAGES_DEFAULT: u32 = 50;

/// Rooms of one user, and members of one room, that are listed: the contract has no pages for them. About 1 MB.
const LISTED_MAX: u32 = 10_000;

/// How long a request waits for its membership change to be in the log; a worker publishes it otherwise.
const PUBLISH_WAIT: Duration = Duration::from_millis(500);

pub(super) async fn create(
    State(rest): State<Rest>,
    Caller(user): Caller,
    JsonBody(body): JsonBody<NewRoom>,
) -> Result<(StatusCode, Json<RoomBody>), HttpError> {
    let name =
        RoomName::new(body.name).map_err(|error| HttpError::BadRequest(error.to_string()))?;
    let events = rest.state.shutdown.events.clone();
    to_the_end(&events, async move {
        let (room, outbox) = rest.state.store.create_room(&name, user.id).await?;
        wait_a_moment(announce(&rest, &outbox)).await;
        Ok((StatusCode::CREATED, Json(RoomBody::from(&room))))
    })
    .await
}

pub(super) async fn list(
    State(rest): State<Rest>,
    Caller(user): Caller,
) -> Result<Json<Vec<RoomBody>>, HttpError> {
    let rooms = rest.state.store.rooms_of(user.id, LISTED_MAX).await?;
    Ok(Json(rooms.iter().map(RoomBody::from).collect()))
}

pub(super) async fn join(
    State(rest): State<Rest>,
    Caller(user): Caller,
    InRoom(room_id): InRoom,
) -> Result<(StatusCode, Json<JoinedBody>), HttpError> {
    let events = rest.state.shutdown.events.clone();
    to_the_end(&events, async move {
        match rest.state.store.join(room_id, user.id).await? {
            Joined::NoSuchRoom => Err(HttpError::NoSuchRoom),
            Joined::AlreadyAMember => Err(HttpError::AlreadyAMember),
            Joined::Now { joined_at, outbox } => {
                wait_a_moment(announce(&rest, &outbox)).await;
                let body = JoinedBody {
                    room_id: room_id.to_string(),
                    user_id: user.id.to_string(),
                    joined_at: format_time(joined_at),
                };
                Ok((StatusCode::CREATED, Json(body)))
            }
        }
    })
    .await
}

pub(super) async fn leave(
    State(rest): State<Rest>,
    Caller(user): Caller,
    InRoom(room_id): InRoom,
) -> Result<StatusCode, HttpError> {
    let events = rest.state.shutdown.events.clone();
    to_the_end(&events, async move {
        match rest.state.store.leave(room_id, user.id).await? {
            Left::NotAMember => Err(HttpError::NothingToLeave),
            Left::Now { outbox } => {
                // The other gateways do not wait for this one's database, and this one's own sockets not for the
                // log. If the database has just gone, the record or the worker brings the change again.
                let announced = announce(&rest, &outbox);
                if let Err(error) = rest.edge.memberships().apply(room_id, user.id).await {
                    tracing::warn!(%error, room.id = %room_id, "left {room_id}, not yet applied here: {error}");
                }
                wait_a_moment(announced).await;
                Ok(StatusCode::NO_CONTENT)
            }
        }
    })
    .await
}

pub(super) async fn members(
    State(rest): State<Rest>,
    Caller(user): Caller,
    InRoom(room_id): InRoom,
) -> Result<Json<Vec<MemberBody>>, HttpError> {
    may_read(&rest, user.id, room_id).await?;
    let members = rest.state.store.members(room_id, LISTED_MAX).await?;
    Ok(Json(members.iter().map(MemberBody::from).collect()))
}

/// The query of a page, as text: so that each problem is named.
#[derive(Deserialize)]
pub(super) struct PageQuery {
    before: Option<String>,
    after: Option<String>,
    limit: Option<String>,
}

impl PageQuery {
    fn page(&self) -> Result<Page, HttpError> {
        let cursor = |name: &str, text: &Option<String>| {
            let id = text.as_deref().map(MessageId::parse).transpose();
            id.map_err(|error| HttpError::BadRequest(format!("{name}: {error}")))
        };
        let limit = match self.limit.as_deref().map(str::parse) {
            None => PAGE_MESSAGES_DEFAULT,
            Some(Ok(limit @ 1..=PAGE_MESSAGES_MAX)) => limit,
            Some(_) => {
                let text = format!("limit: must be a number from 1 to {PAGE_MESSAGES_MAX}");
                return Err(HttpError::BadRequest(text));
            }
        };
        let (before, after) = (cursor("before", &self.before)?, cursor("after", &self.after)?);
        Ok(Page { before, after, limit })
    }
}

pub(super) async fn messages(
    State(rest): State<Rest>,
    Caller(user): Caller,
    InRoom(room_id): InRoom,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<serde_json::Value>, HttpError> {
    let Query(query) = query.map_err(|error| HttpError::BadRequest(error.body_text()))?;
    let page = query.page()?;
    may_read(&rest, user.id, room_id).await?;
    let messages = rest.state.store.messages(room_id, page).await?;
    let bodies: Vec<_> = messages.iter().map(MessageBody::from).collect();
    Ok(Json(serde_json::json!(bodies)))
}

pub(super) async fn presence(
    State(rest): State<Rest>,
    Caller(_): Caller,
    OfUser(user_id): OfUser,
) -> Result<Json<PresenceBody>, HttpError> {
    let entries = rest.state.presence.sockets(user_id).await?;
    let sockets: Vec<_> = entries
        .into_iter()
        .map(|entry| PresenceSocket {
            socket_id: entry.socket_id.0,
            server_id: entry.server_id,
            connected_at: format_time(entry.connected_at),
        })
        .collect();
    Ok(Json(PresenceBody { online: !sockets.is_empty(), sockets }))
}

async fn may_read(rest: &Rest, user: UserId, room: RoomId) -> Result<(), HttpError> {
    rest.state.authoriser.may_read(user, room).await.map_err(|error| match error {
        AuthoriseError::NotAMember => HttpError::NotAMember,
        AuthoriseError::Store(source) => HttpError::Store(source),
    })
}

/// Makes a change and what follows from it one thing: a client that closes its connection in the middle drops the
/// handler, and the change would be made, but nobody told.
async fn to_the_end<T: Send + 'static>(
    events: &TaskTracker,
    change: impl Future<Output = Result<T, HttpError>> + Send + 'static,
) -> Result<T, HttpError> {
    // Ends by itself: every call in it has a limit. A drain waits for it like for an event.
    events.spawn(change).await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // Only the end of the process cancels it.
        Err(_) => Err(HttpError::Draining),
    })
}

/// Publishes a committed change and takes it off the outbox. Whatever goes wrong here, a worker does it later.
fn announce(rest: &Rest, entry: &OutboxEntry) -> Option<JoinHandle<()>> {
    let report = match rest.state.publishing.membership(entry) {
        Ok(report) => report,
        Err(error) => {
            tracing::warn!(%error, "left a membership change to the worker: {error}");
            return None;
        }
    };
    let (store, id) = (rest.state.store.clone(), entry.id);
    // Ends with the report, which the publisher's patience bounds.
    Some(rest.state.shutdown.events.spawn(async move {
        let result = report.await;
        if let Err(error) = result {
            tracing::warn!(%error, "left a membership change to the worker: {error}");
        } else if let Err(error) = store.outbox_remove(&[id]).await {
            tracing::warn!(%error, "a membership change will be published twice: {error}");
        }
    }))
}

/// So that whoever was answered finds the change wherever they look, unless the log is slow.
async fn wait_a_moment(announced: Option<JoinHandle<()>>) {
    let Some(announced) = announced else { return };
    if timeout(PUBLISH_WAIT, announced).await.is_err() {
        tracing::debug!("a membership change is still on its way");
    }
}

//! `joinRoom`: a socket wants to hear a room. The membership comes first, over HTTP.

use crate::{
    authorise::{AuthoriseError, Entry},
    chat::{MessageId, UserId},
    error::EventError,
    protocol::events::JoinRoom,
    state::AppState,
};

/// Leave for one socket to enter the room, as long as it is held.
#[derive(Debug)]
pub struct Admission {
    pub entry: Entry,
    /// The newest message stored when the leave was given: what is not above it is old news.
    pub newest: Option<MessageId>,
    /// The client named a message that it has: what it missed since is not replayed, it pages over HTTP.
    pub is_truncated: bool,
}

pub async fn join_room(
    state: &AppState,
    user: UserId,
    event: JoinRoom,
) -> Result<Admission, EventError> {
    let JoinRoom { room_id, after } = event;
    let entry = state.authoriser.may_enter(user, room_id).await.map_err(|error| match error {
        AuthoriseError::NotAMember => EventError::NotAMember,
        AuthoriseError::Store(source) => EventError::Unavailable(source),
    })?;
    if let Some(after) = after {
        let exists = state.store.message_exists(room_id, after).await;
        if !exists.map_err(EventError::Unavailable)? {
            return Err(EventError::UnknownCursor);
        }
    }
    let newest = state.store.newest_ids(&[room_id]).await.map_err(EventError::Unavailable)?;
    Ok(Admission {
        entry,
        newest: newest.get(&room_id).copied(),
        is_truncated: after.is_some_and(|after| newest.get(&room_id) != Some(&after)),
    })
}

//! `leaveRoom`: a socket no longer wants to hear a room. The membership stays.

use crate::{
    authorise::AuthoriseError, chat::UserId, error::EventError, protocol::events::LeaveRoom,
    state::AppState,
};

/// `is_inside`: whether the socket hears the room now. Only a socket that does not must be told apart from
/// a stranger, and only for that the database is asked.
pub async fn leave_room(
    state: &AppState,
    user: UserId,
    event: LeaveRoom,
    is_inside: bool,
) -> Result<(), EventError> {
    if is_inside {
        return Ok(());
    }
    state.authoriser.may_read(user, event.room_id).await.map_err(|error| match error {
        AuthoriseError::NotAMember => EventError::NotAMember,
        AuthoriseError::Store(source) => EventError::Unavailable(source),
    })
}

//! `sendMessage`: a client asks to post a message in a room.
//!
//! Authorise, hand to the producer. Nothing is emitted to the room here: members see the message when it
//! comes back persisted, via `broadcast`.

use tokio::time::{Instant, timeout_at};

use crate::{
    authorise::AuthoriseError,
    broker::Report,
    chat::{Draft, UserId},
    error::EventError,
    state::AppState,
};

/// Returns when the message has its place in the log's order; the report tells when it is safe there.
///
/// `received`: when it came from the wire. A client is answered within 10 s, so one that waited for
/// too long behind others is refused instead of published late.
pub async fn send_message(
    state: &AppState,
    user: UserId,
    draft: Draft,
    received: Instant,
) -> Result<Report, EventError> {
    let deadline = received + state.publish_by;
    if Instant::now() >= deadline {
        return Err(EventError::Expired);
    }
    let permitted = timeout_at(deadline, state.authoriser.may_post(user, draft))
        .await
        .map_err(|_| EventError::Expired)?
        .map_err(|error| match error {
            AuthoriseError::NotAMember => EventError::NotAMember,
            AuthoriseError::Store(source) => EventError::Undecided(source),
        })?;
    state.publishing.message(&permitted).map_err(EventError::Publish)
}

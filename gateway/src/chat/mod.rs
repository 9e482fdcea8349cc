//! Chat rules: ids, drafts, messages, rooms and their limits.
//!
//! Pure: no I/O, no async, no wire formats. Everything above speaks in these types.

mod ids;
mod message;
mod room;

pub use ids::{ClientMsgId, IdError, MessageId, RoomId, SocketId, UserId};
pub use message::{CONTENT_UTF16_UNITS_MAX, Content, ContentError, Draft, Message, MessageKind};
pub use room::{Change, Member, ROOM_NAME_CHARS_MAX, Room, RoomName, RoomNameError};

/// Somebody whose token was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// From the token, when it has one. Never logged.
    pub email: Option<String>,
}

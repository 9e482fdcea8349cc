//! HTTP: the JSON bodies (contract, section 2).

use serde::{Deserialize, Serialize};

use super::time::format_time;
use crate::chat::{Member, Room};

/// `POST /rooms`.
#[derive(Debug, Deserialize)]
pub struct NewRoom {
    pub name: String,
}

/// A room.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomBody {
    pub id: String,
    pub name: String,
    pub created_at: String,
}

impl From<&Room> for RoomBody {
    fn from(room: &Room) -> Self {
        Self {
            id: room.id.to_string(),
            name: room.name.as_str().to_owned(),
            created_at: format_time(room.created_at),
        }
    }
}

/// The answer to `POST /rooms/:roomId/join`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinedBody {
    pub room_id: String,
    pub user_id: String,
    pub joined_at: String,
}

/// One of `GET /rooms/:roomId/members`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberBody {
    pub user_id: String,
    pub joined_at: String,
}

impl From<&Member> for MemberBody {
    fn from(member: &Member) -> Self {
        Self { user_id: member.user_id.to_string(), joined_at: format_time(member.joined_at) }
    }
}

/// The answer to `GET /users/:userId/presence`.
#[derive(Debug, Serialize)]
pub struct PresenceBody {
    pub online: bool,
    pub sockets: Vec<PresenceSocket>,
}

/// One socket of a [`PresenceBody`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PresenceSocket {
    pub socket_id: String,
    pub server_id: String,
    pub connected_at: String,
}

/// The body of every error.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody<'a> {
    pub status_code: u16,
    /// The reason phrase of the status.
    pub error: &'a str,
    pub message: &'a str,
}

//! Rooms and who is in them.

use chrono::{DateTime, Utc};

use super::ids::{RoomId, UserId};

/// Longest name of a room, in characters.
pub const ROOM_NAME_CHARS_MAX: usize = 100;

/// The name of a room: 1 to 100 characters, no NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomName(String);

/// Why a text cannot name a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameError {
    #[error("name must have 1 to {ROOM_NAME_CHARS_MAX} characters")]
    Length,
    #[error("name must not have a NUL character")]
    HasNul,
}

impl RoomName {
    pub fn new(text: String) -> Result<Self, RoomNameError> {
        if text.contains('\0') {
            return Err(RoomNameError::HasNul);
        }
        match text.chars().count() {
            1..=ROOM_NAME_CHARS_MAX => Ok(Self(text)),
            _ => Err(RoomNameError::Length),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A room as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    pub id: RoomId,
    pub name: RoomName,
    pub created_at: DateTime<Utc>,
}

/// A user's membership in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user_id: UserId,
    pub joined_at: DateTime<Utc>,
}

/// What happened to a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Joined,
    Left,
}

impl Change {
    /// The word of the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Left => "left",
        }
    }

    /// Reads the word of the record.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "joined" => Some(Self::Joined),
            "left" => Some(Self::Left),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_name_has_1_to_100_characters() {
        assert!(RoomName::new("é".repeat(100)).is_ok());
        assert_eq!(RoomName::new("é".repeat(101)), Err(RoomNameError::Length));
        assert_eq!(RoomName::new(String::new()), Err(RoomNameError::Length));
        assert_eq!(RoomName::new("a\0".to_owned()), Err(RoomNameError::HasNul));
    }
}

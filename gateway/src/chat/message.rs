//! What may be said in a room, and what a stored message is.

use std::fmt;

use chrono::{DateTime, Utc};
use uuid::{NoContext, Timestamp, Uuid};

use super::ids::{ClientMsgId, MessageId, RoomId, UserId};

/// Counted in UTF-16 code units, because that is what browsers count.
pub const CONTENT_UTF16_UNITS_MAX: usize = 5_000;

/// The content of a message: 1 to 5,000 UTF-16 code units, no NUL (Postgres cannot store one).
#[derive(Clone, PartialEq, Eq)]
pub struct Content(String);

/// Why a text cannot be the content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    #[error("content is empty")]
    Empty,
    #[error("content is {units} UTF-16 units long, the limit is {CONTENT_UTF16_UNITS_MAX}")]
    TooLong { units: usize },
    #[error("content has a NUL character")]
    HasNul,
}

impl Content {
    /// Takes the text as it is: nothing is trimmed or normalised.
    pub fn new(text: String) -> Result<Self, ContentError> {
        if text.contains('\0') {
            return Err(ContentError::HasNul);
        }
        match text.encode_utf16().count() {
            0 => Err(ContentError::Empty),
            1..=CONTENT_UTF16_UNITS_MAX => Ok(Self(text)),
            units => Err(ContentError::TooLong { units }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Content {
    /// Content never gets into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

/// The `type` of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageKind {
    #[default]
    Text,
    Image,
    /// The server's own; no client may send one.
    System,
}

impl MessageKind {
    /// Reads the word of the wire.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "TEXT" => Some(Self::Text),
            "IMAGE" => Some(Self::Image),
            "SYSTEM" => Some(Self::System),
            _ => None,
        }
    }

    /// The word of the wire, of the records and of the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Image => "IMAGE",
            Self::System => "SYSTEM",
        }
    }
}

/// A message somebody wants posted. Holding one means that its shape and content are within limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub room_id: RoomId,
    pub client_msg_id: ClientMsgId,
    pub kind: MessageKind,
    pub content: Content,
}

/// A stored message: what rooms hear of and what history shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: MessageId,
    pub room_id: RoomId,
    pub sender_id: UserId,
    pub client_msg_id: ClientMsgId,
    pub kind: MessageKind,
    pub content: Content,
    /// In whole milliseconds.
    pub created_at: DateTime<Utc>,
}

impl MessageId {
    /// Makes an id that lies above `newest` and carries the time `now` where that is later.
    ///
    /// A worker whose clock is behind the one before it goes on just above `newest`, so an id stays a cursor.
    pub fn after(newest: Option<Self>, now: DateTime<Utc>) -> Self {
        let floor = newest.map_or(0, |id| id.0.as_u128());
        let fresh = Uuid::new_v7(timestamp(now)).as_u128();
        Self(Uuid::from_u128(if fresh > floor { fresh } else { successor(floor) }))
    }
}

fn timestamp(now: DateTime<Utc>) -> Timestamp {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos())
}

/// The next UUIDv7 in order: the counter runs through the 62 random bits, then `rand_a`, then the time.
fn successor(id: u128) -> u128 {
    const RANDOM_B: u128 = (1 << 62) - 1;
    const VERSION_7: u128 = 0x7 << 76;
    const VARIANT: u128 = 0b10 << 62;
    let low = id & RANDOM_B;
    if low < RANDOM_B {
        return id + 1;
    }
    let time_and_a = ((id >> 80) << 12) | ((id >> 64) & 0xfff);
    let next = time_and_a + 1;
    ((next >> 12) << 80) | VERSION_7 | ((next & 0xfff) << 64) | VARIANT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_limit_is_inclusive_and_counts_surrogate_pairs_twice() {
        assert!(Content::new("👍".repeat(2_500)).is_ok());
        assert_eq!(
            Content::new("👍".repeat(2_501)).unwrap_err(),
            ContentError::TooLong { units: 5_002 },
        );
    }

    #[test]
    fn content_is_never_empty_and_never_has_a_nul() {
        assert_eq!(Content::new(String::new()).unwrap_err(), ContentError::Empty);
        assert_eq!(Content::new("a\0b".to_owned()).unwrap_err(), ContentError::HasNul);
    }

    #[test]
    fn ids_rise_above_the_newest_even_when_the_clock_is_behind() {
        let now = Utc::now();
        let ahead = MessageId::after(None, now + chrono::Duration::hours(1));
        let next = |id: &MessageId| Some(MessageId::after(Some(*id), now));
        let ids: Vec<_> = std::iter::successors(Some(ahead), next).take(1_000).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.0.get_version_num() == 7));
        assert!(ids.iter().all(|id| id.0.get_variant() == uuid::Variant::RFC4122));
    }

    #[test]
    fn the_successor_carries_over_version_and_variant_bits() {
        let full = Uuid::parse_str("01890000-0000-7fff-bfff-ffffffffffff").unwrap();
        let next = Uuid::from_u128(successor(full.as_u128()));
        assert_eq!(next.to_string(), "01890000-0001-7000-8000-000000000000");
    }
}

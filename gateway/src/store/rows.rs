//! Rows as both databases give them, and what they mean. The one place that decides that a row is invalid.

use std::fmt::Display;

use chrono::{DateTime, SubsecRound as _, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::{OutboxEntry, StoreError};
use crate::chat::{
    Change, ClientMsgId, Content, Member, Message, MessageId, MessageKind, Room, RoomId, RoomName,
    UserId,
};

/// Digits of a second that are kept: milliseconds.
const SUBSECOND_DIGITS: u16 = 3;

/// A time as the database keeps it.
pub(super) trait StoredTime {
    /// `None`: no time that this program could have written.
    fn to_utc(&self) -> Option<DateTime<Utc>>;
}

/// Postgres: `timestamptz`.
impl StoredTime for DateTime<Utc> {
    fn to_utc(&self) -> Option<DateTime<Utc>> {
        Some(*self)
    }
}

/// SQLite: milliseconds since 1970.
impl StoredTime for i64 {
    fn to_utc(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(*self)
    }
}

/// Cuts what is finer than a millisecond: times are stored and shown so.
pub(super) fn whole_milliseconds(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(SUBSECOND_DIGITS)
}

#[derive(FromRow)]
pub(super) struct RoomRow<At> {
    id: Uuid,
    name: String,
    created_at: At,
}

impl<At: StoredTime> TryFrom<RoomRow<At>> for Room {
    type Error = StoreError;

    fn try_from(row: RoomRow<At>) -> Result<Self, StoreError> {
        Ok(Self {
            id: RoomId(row.id),
            name: RoomName::new(row.name).map_err(|why| corrupt("room", row.id, why))?,
            created_at: time("room", row.id, &row.created_at)?,
        })
    }
}

#[derive(FromRow)]
pub(super) struct MemberRow<At> {
    user_id: Uuid,
    joined_at: At,
}

impl<At: StoredTime> TryFrom<MemberRow<At>> for Member {
    type Error = StoreError;

    fn try_from(row: MemberRow<At>) -> Result<Self, StoreError> {
        let joined_at = time("member", row.user_id, &row.joined_at)?;
        Ok(Self { user_id: UserId(row.user_id), joined_at })
    }
}

#[derive(FromRow)]
pub(super) struct OutboxRow<At> {
    id: i64,
    room_id: Uuid,
    user_id: Uuid,
    change: String,
    at: At,
}

impl<At: StoredTime> TryFrom<OutboxRow<At>> for OutboxEntry {
    type Error = StoreError;

    fn try_from(row: OutboxRow<At>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            room_id: RoomId(row.room_id),
            user_id: UserId(row.user_id),
            change: Change::parse(&row.change)
                .ok_or_else(|| corrupt("outbox entry", row.id, "unknown change"))?,
            at: time("outbox entry", row.id, &row.at)?,
        })
    }
}

#[derive(FromRow)]
pub(super) struct MessageRow<At> {
    id: Uuid,
    room_id: Uuid,
    sender_id: Uuid,
    client_msg_id: Uuid,
    client_msg_id_text: String,
    #[sqlx(rename = "type")]
    kind: String,
    content: String,
    created_at: At,
}

impl<At: StoredTime> TryFrom<MessageRow<At>> for Message {
    type Error = StoreError;

    fn try_from(row: MessageRow<At>) -> Result<Self, StoreError> {
        let id = row.id;
        let client_msg_id = ClientMsgId::parse(&row.client_msg_id_text)
            .map_err(|why| corrupt("message", id, why))?;
        if client_msg_id.value() != row.client_msg_id {
            return Err(corrupt("message", id, "client_msg_id and its text differ"));
        }
        Ok(Self {
            id: MessageId(id),
            room_id: RoomId(row.room_id),
            sender_id: UserId(row.sender_id),
            client_msg_id,
            kind: MessageKind::parse(&row.kind)
                .ok_or_else(|| corrupt("message", id, "unknown type"))?,
            content: Content::new(row.content).map_err(|why| corrupt("message", id, why))?,
            created_at: time("message", id, &row.created_at)?,
        })
    }
}

/// Turns rows into what they mean; the first invalid one fails the whole call.
pub(super) fn all<Row, T>(rows: Vec<Row>) -> Result<Vec<T>, StoreError>
where
    T: TryFrom<Row, Error = StoreError>,
{
    rows.into_iter().map(T::try_from).collect()
}

fn time(what: &str, id: impl Display, at: &impl StoredTime) -> Result<DateTime<Utc>, StoreError> {
    at.to_utc().ok_or_else(|| corrupt(what, id, "its time is out of range"))
}

fn corrupt(what: &str, id: impl Display, why: impl Display) -> StoreError {
    StoreError::Corrupt(format!("{what} `{id}`: {why}"))
}

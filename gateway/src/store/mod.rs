//! Rooms, members, messages and the persistor's positions: one trait, Postgres and SQLite.
//!
//! Owns every SQL statement. Refuses to know of sockets, Kafka clients or HTTP. Both implementations are
//! held to the same conformance test (`tests/it/store_conformance.rs`).

mod error;
mod rows;
mod distinct;
mod schema;
mod postgres;
mod sqlite;

use std::{collections::HashMap, fmt::Debug, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::chat::{Change, Member, Message, MessageId, Room, RoomId, RoomName, UserId};

pub use error::{MigrationError, OpenError, StoreError};
pub use postgres::{PostgresOptions, PostgresStore};
pub use sqlite::{Location, SqliteOptions, SqliteStore};

/// How `join` ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    Now { joined_at: DateTime<Utc>, outbox: OutboxEntry },
    AlreadyAMember,
    NoSuchRoom,
}

/// How `leave` ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    Now { outbox: OutboxEntry },
    NotAMember,
}

/// A membership change that is committed and must be published; kept until `outbox_remove`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    pub id: i64,
    pub room_id: RoomId,
    pub user_id: UserId,
    pub change: Change,
    pub at: DateTime<Utc>,
}

/// Which page of a room's history: always ascending; without a cursor the newest page.
///
/// With `after`: the first `limit` above it (and below `before`, when both are given). With `before` alone:
/// the last `limit` below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub before: Option<MessageId>,
    pub after: Option<MessageId>,
    /// 1 to 100.
    pub limit: u32,
}

/// The records of one partition that a worker wants stored, and the position it took them from.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    pub topic: &'a str,
    pub partition: i32,
    /// The position this batch was made for; nothing is stored if it is another one by now.
    /// `None`: there was no position yet.
    pub expected: Option<i64>,
    /// The position once this batch is stored.
    pub next: i64,
    /// In the order of their offsets. `id` is used when the row is new. Two may be retries of one another.
    pub messages: &'a [Message],
}

/// What `persist` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Persisted {
    /// One entry for each of `Batch::messages`, in the same order.
    Stored(Vec<StoredMessage>),
    /// Somebody else moved the position: nothing was stored.
    PositionMoved,
}

/// The row that stands for a message of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// As it stands in the database: the first one's spelling, id and time when this was a retry.
    pub message: Message,
    /// Whether this very entry of the batch made the row.
    pub is_new: bool,
}

/// The database. Every call is bounded by the pool's and the statement's timeout.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// Brings the schema up to date. Safe to run by several at once, on a SQLite file by those of one process: whoever
    /// opens it holds a lock.
    async fn migrate(&self) -> Result<(), MigrationError>;
    /// Whether the schema is what this program needs (every migration applied, none unknown).
    async fn is_migrated(&self) -> Result<bool, StoreError>;
    /// How long the database takes to answer.
    async fn ping(&self) -> Result<Duration, StoreError>;

    /// Makes a room whose only member is `creator`; the membership's outbox entry is in the same transaction.
    async fn create_room(
        &self,
        name: &RoomName,
        creator: UserId,
    ) -> Result<(Room, OutboxEntry), StoreError>;
    /// The rooms `user` is a member of, oldest first, at most `limit`.
    async fn rooms_of(&self, user: UserId, limit: u32) -> Result<Vec<Room>, StoreError>;
    async fn join(&self, room: RoomId, user: UserId) -> Result<Joined, StoreError>;
    async fn leave(&self, room: RoomId, user: UserId) -> Result<Left, StoreError>;
    async fn is_member(&self, room: RoomId, user: UserId) -> Result<bool, StoreError>;
    /// In the order in which they joined, at most `limit`.
    async fn members(&self, room: RoomId, limit: u32) -> Result<Vec<Member>, StoreError>;

    /// A page of a room's history, ascending.
    async fn messages(&self, room: RoomId, page: Page) -> Result<Vec<Message>, StoreError>;
    async fn message_exists(&self, room: RoomId, id: MessageId) -> Result<bool, StoreError>;
    /// The newest stored message of each room that has one.
    async fn newest_ids(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, MessageId>, StoreError>;

    /// The next offset to be stored of a partition, if any was stored.
    async fn position(&self, topic: &str, partition: i32) -> Result<Option<i64>, StoreError>;
    /// In one transaction: moves the position from `expected` to `next` if it still is `expected`, and
    /// inserts the messages that are not there yet. A worker frozen in here holds no lock for longer
    /// than the database allows.
    async fn persist(&self, batch: Batch<'_>) -> Result<Persisted, StoreError>;

    /// Membership changes older than `min_age` that nobody has published yet, oldest first.
    async fn outbox(&self, min_age: Duration, limit: u32) -> Result<Vec<OutboxEntry>, StoreError>;
    async fn outbox_remove(&self, ids: &[i64]) -> Result<(), StoreError>;
}

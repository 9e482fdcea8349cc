//! The store in a SQLite file, or in memory for `dev` and tests. One process at a time.
//!
//! All writes go through one connection, so a transaction never waits for another and compare-and-set is plain
//! reading and writing. Reads of a file have connections of their own.

mod history;
mod persist;
mod rooms;
mod schema;
mod url;

use std::{
    collections::HashMap,
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Connection as _, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    Batch, Joined, Left, MigrationError, OpenError, OutboxEntry, Page, Persisted, Store,
    StoreError, error::bounded,
};
use crate::chat::{Member, Message, MessageId, Room, RoomId, RoomName, UserId};

/// Longest a call may take, the wait for the write connection and the disk included.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// How long SQLite itself waits for a lock of its file, for example while somebody copies it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest a migration may take.
const MIGRATION_LIMIT: Duration = Duration::from_mins(10);

/// Connections that only read a file.
const READ_CONNECTIONS_MAX: u32 = 4;

/// The write-ahead log is cut back to this once its content is in the file.
const WAL_BYTES_KEPT_MAX: &str = "67108864";

/// Most rows of one statement. At 8 values each it stays far below SQLite's limit of 32,766.
const STATEMENT_ROWS_MAX: usize = 64;

/// Where a SQLite database lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Created when it is missing; its directory must exist.
    File(PathBuf),
    /// Gone when the store is dropped.
    Memory,
}

/// How the embedded database is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    pub location: Location,
    /// Whether what was stored survives a power loss (one fsync for each transaction). It survives the end of
    /// the process either way. Means nothing in memory.
    pub durable: bool,
}

/// Rooms, messages and positions in SQLite. Clones share the connections.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    /// Exactly one connection.
    write: SqlitePool,
    /// The same one when the database is in memory: no other could see it.
    read: SqlitePool,
}

impl SqliteStore {
    /// Opens the database; the schema is brought up to date by [`Store::migrate`].
    pub async fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        // sqlx closes idle and old connections unless told otherwise, and with the only connection a database
        // in memory would be gone.
        let one = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CALL_LIMIT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        let SqliteOptions { location, durable } = options;
        match location {
            Location::Memory => {
                let write = one.connect_with(connection().filename(":memory:")).await?;
                Ok(Self { read: write.clone(), write })
            }
            Location::File(path) => {
                // A full disk makes SQLite itself end a transaction. sqlx then believes in one that is not there, and
                // begins no other: such a connection is replaced.
                let write = one
                    .before_acquire(|connection, _| {
                        Box::pin(async { Ok(!connection.is_in_transaction()) })
                    })
                    .connect_with(file(durable).filename(&path))
                    .await?;
                let read = SqlitePoolOptions::new()
                    .max_connections(READ_CONNECTIONS_MAX)
                    .acquire_timeout(CALL_LIMIT)
                    .test_before_acquire(false)
                    .connect_lazy_with(connection().filename(&path).read_only(true));
                Ok(Self { write, read })
            }
        }
    }

    /// Whether `url` names a file or memory.
    pub fn check_url(url: &str) -> Result<(), OpenError> {
        url::location(url).map(|_| ()).map_err(OpenError::InvalidUrl)
    }

    /// The file that `url` names, if it names one.
    pub fn file(url: &str) -> Option<PathBuf> {
        match url::location(url) {
            Ok(Location::File(path)) => Some(path),
            Ok(Location::Memory) | Err(_) => None,
        }
    }

    /// Opens what a URL such as `sqlite:/var/lib/chat/chat.db` or `sqlite::memory:` names.
    pub async fn open_url(url: &str, durable: bool) -> Result<Self, OpenError> {
        let location = url::location(url).map_err(OpenError::InvalidUrl)?;
        Ok(Self::open(SqliteOptions { location, durable }).await?)
    }

    /// A transaction that holds the write lock from its first moment. Dropping it rolls it back.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }
}

fn connection() -> SqliteConnectOptions {
    SqliteConnectOptions::new().busy_timeout(BUSY_TIMEOUT)
}

fn file(durable: bool) -> SqliteConnectOptions {
    let options = connection()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("journal_size_limit", WAL_BYTES_KEPT_MAX);
    if durable {
        // macOS needs the second one for an fsync that reaches the medium; elsewhere it changes nothing.
        options.synchronous(SqliteSynchronous::Full).pragma("fullfsync", "ON")
    } else {
        options.synchronous(SqliteSynchronous::Off)
    }
}

/// Cuts `items` into pieces of 64 and of the smaller powers of two, so that only seven texts of each
/// statement exist and all of them stay prepared.
fn pieces<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let power = items.len().checked_ilog2()?;
        let (piece, rest) = items.split_at((1 << power).min(STATEMENT_ROWS_MAX));
        items = rest;
        Some(piece)
    })
}

/// `head`, then `(?, ?), (?, ?)` for `rows` of `columns` values, then `tail`.
fn with_values(head: &str, rows: usize, columns: usize, tail: &str) -> AssertSqlSafe<String> {
    let row = format!("({})", vec!["?"; columns].join(", "));
    let mut sql = head.to_owned();
    for index in 0..rows {
        let separator = if index == 0 { "" } else { ", " };
        write!(sql, "{separator}{row}").expect("writing to a `String` cannot fail");
    }
    sql.push_str(tail);
    AssertSqlSafe(sql)
}

#[async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> Result<(), MigrationError> {
        bounded("migrate", MIGRATION_LIMIT, async { Ok(schema::migrate(self).await) }).await?
    }

    async fn is_migrated(&self) -> Result<bool, StoreError> {
        bounded("is_migrated", CALL_LIMIT, schema::is_migrated(self)).await
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        let started = Instant::now();
        bounded("ping", CALL_LIMIT, schema::ping(self)).await?;
        Ok(started.elapsed())
    }

    async fn create_room(
        &self,
        name: &RoomName,
        creator: UserId,
    ) -> Result<(Room, OutboxEntry), StoreError> {
        bounded("create_room", CALL_LIMIT, rooms::create(self, name, creator)).await
    }

    async fn rooms_of(&self, user: UserId, limit: u32) -> Result<Vec<Room>, StoreError> {
        bounded("rooms_of", CALL_LIMIT, rooms::of(self, user, limit)).await
    }

    async fn join(&self, room: RoomId, user: UserId) -> Result<Joined, StoreError> {
        bounded("join", CALL_LIMIT, rooms::join(self, room, user)).await
    }

    async fn leave(&self, room: RoomId, user: UserId) -> Result<Left, StoreError> {
        bounded("leave", CALL_LIMIT, rooms::leave(self, room, user)).await
    }

    async fn is_member(&self, room: RoomId, user: UserId) -> Result<bool, StoreError> {
        bounded("is_member", CALL_LIMIT, rooms::is_member(self, room, user)).await
    }

    async fn members(&self, room: RoomId, limit: u32) -> Result<Vec<Member>, StoreError> {
        bounded("members", CALL_LIMIT, rooms::members(self, room, limit)).await
    }

    async fn messages(&self, room: RoomId, page: Page) -> Result<Vec<Message>, StoreError> {
        bounded("messages", CALL_LIMIT, history::page(self, room, page)).await
    }

    async fn message_exists(&self, room: RoomId, id: MessageId) -> Result<bool, StoreError> {
        bounded("message_exists", CALL_LIMIT, history::exists(self, room, id)).await
    }

    async fn newest_ids(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, MessageId>, StoreError> {
        bounded("newest_ids", CALL_LIMIT, history::newest_ids(self, rooms)).await
    }

    async fn position(&self, topic: &str, partition: i32) -> Result<Option<i64>, StoreError> {
        bounded("position", CALL_LIMIT, persist::position(self, topic, partition)).await
    }

    async fn persist(&self, batch: Batch<'_>) -> Result<Persisted, StoreError> {
        bounded("persist", CALL_LIMIT, persist::persist(self, &batch)).await
    }

    async fn outbox(&self, min_age: Duration, limit: u32) -> Result<Vec<OutboxEntry>, StoreError> {
        bounded("outbox", CALL_LIMIT, rooms::outbox(self, min_age, limit)).await
    }

    async fn outbox_remove(&self, ids: &[i64]) -> Result<(), StoreError> {
        bounded("outbox_remove", CALL_LIMIT, rooms::outbox_remove(self, ids)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_powers_of_two_that_cover_everything_in_order() {
        let items: Vec<usize> = (0..2_000 + 21).collect();
        let cut: Vec<&[usize]> = pieces(&items).collect();
        assert_eq!(cut.concat(), items);
        assert!(cut.iter().all(|p| p.len().is_power_of_two() && p.len() <= STATEMENT_ROWS_MAX));
        assert_eq!(pieces::<usize>(&[]).count(), 0);
    }
}

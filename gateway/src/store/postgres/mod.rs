//! The store on Postgres 15 or newer.
//!
//! Every change is one statement, so that a process that freezes in the middle never holds a transaction open.
//! Every call is bounded: by `call_timeout` here, and by the server itself for what was given up here.

mod history;
mod parameters;
mod persist;
mod reach;
mod rooms;
mod schema;

use std::{
    collections::HashMap,
    io,
    str::FromStr as _,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sqlx::{
    Connection as _, PgConnection, PgPool,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, Postgres},
};
use tokio::time::timeout;

use self::reach::Reach;
use super::{
    Batch, Joined, Left, MigrationError, OpenError, OutboxEntry, Page, Persisted, Store,
    StoreError, error::bounded,
};
use crate::chat::{Member, Message, MessageId, Room, RoomId, RoomName, UserId};

/// Longest the migrations may take together, the wait for another process that migrates included.
const MIGRATION_LIMIT: Duration = Duration::from_mins(10);

/// A connection must answer a ping within this part of a call's limit, so that a call which meets a silent one
/// has time for another. After a failover whole pools of them are silent.
const PING_DIVISOR: u32 = 4;

/// How a process uses its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Connections of this process at a time.
    pub pool_connections_max: u32,
    /// Longest a call may take, the wait for a connection included. The server ends statements and
    /// transactions after the same time, and waits for locks half as long.
    pub call_timeout: Duration,
}

/// Rooms, messages and positions in Postgres. Clones share one pool.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    reach: Arc<Reach>,
    call_timeout: Duration,
    ping_limit: Duration,
}

impl PostgresStore {
    /// Whether `url` can be one of a Postgres.
    pub fn check_url(url: &str) -> Result<(), OpenError> {
        let options = PgConnectOptions::from_str(url);
        options.map(|_| ()).map_err(|error| OpenError::InvalidUrl(error.to_string()))
    }

    /// Only reads the URL; connections are made when they are needed, so the database may be down.
    pub fn connect(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        let PostgresOptions { pool_connections_max, call_timeout } = options;
        for name in parameters::unknown(url) {
            tracing::warn!(
                "ignored the parameter `{name}` of the database's URL: it is none that is known"
            );
        }
        let server = PgConnectOptions::from_str(url)
            .map_err(|error| OpenError::InvalidUrl(error.to_string()))?
            .options(server_limits(call_timeout));
        let reach = Arc::new(Reach::of(&server));
        let ping_limit = call_timeout / PING_DIVISOR;
        let pool = PgPoolOptions::new()
            .max_connections(pool_connections_max)
            .acquire_timeout(call_timeout)
            .test_before_acquire(false)
            .before_acquire(move |connection, _| Box::pin(ping(connection, ping_limit)))
            .connect_lazy_with(server);
        Ok(Self { pool, reach, call_timeout, ping_limit })
    }

    /// A connection for one statement; fails at once when the server refuses connections.
    async fn acquire(&self) -> Result<Lent, StoreError> {
        // sqlx tries again until its timeout when it is refused; see `Reach`.
        let connection = tokio::select! {
            biased;
            connection = self.pool.acquire() => connection?,
            refused = self.reach.refused() => return Err(refused.into()),
        };
        Ok(Lent { connection: Some(connection), ping_limit: self.ping_limit })
    }

    async fn bounded<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        bounded(call, self.call_timeout, work).await
    }
}

/// What the server enforces on its own, for statements whose caller has given up or is frozen.
fn server_limits(call_timeout: Duration) -> [(&'static str, String); 4] {
    let milliseconds = |limit: Duration| format!("{}ms", limit.as_millis().max(1));
    [
        ("statement_timeout", milliseconds(call_timeout)),
        ("idle_in_transaction_session_timeout", milliseconds(call_timeout)),
        ("lock_timeout", milliseconds(call_timeout / 2)),
        // A generic plan made while a table was small would scan the table when it is large.
        ("plan_cache_mode", "force_custom_plan".to_owned()),
    ]
}

/// Whether the connection still works. The ping of sqlx itself has no limit.
async fn ping(connection: &mut PgConnection, limit: Duration) -> Result<bool, sqlx::Error> {
    timeout(limit, connection.ping()).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "a connection fell silent").into())
    })?;
    Ok(true)
}

/// A connection that is closed, not returned, unless its statement came to an end.
///
/// sqlx pings a connection before it returns to the pool, without a limit: one that was given up on a frozen
/// or unreachable server would keep its place in the pool until TCP gives up as well.
struct Lent {
    connection: Option<PoolConnection<Postgres>>,
    ping_limit: Duration,
}

impl Lent {
    fn get(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("only `settle` and `drop` take it, and they end the loan")
    }

    /// Returns the connection to the pool, and hands the outcome of its statement on.
    fn settle<T>(mut self, outcome: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        if let Some(mut connection) = self.connection.take() {
            let returned = connection.return_to_pool();
            let ping_limit = self.ping_limit;
            // What dropping the connection does as well, but with a limit; cut off, it closes the connection.
            // Not tracked by `Shutdown`: it ends by itself within the limit, and losing it loses nothing.
            tokio::spawn(async move {
                if timeout(ping_limit, returned).await.is_err() {
                    tracing::warn!("closed a connection to the database that fell silent");
                }
            });
        }
        outcome.map_err(StoreError::from)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn migrate(&self) -> Result<(), MigrationError> {
        bounded("migrate", MIGRATION_LIMIT, async { Ok(schema::migrate(self).await) }).await?
    }

    async fn is_migrated(&self) -> Result<bool, StoreError> {
        self.bounded("is_migrated", schema::is_migrated(self)).await
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        let started = Instant::now();
        self.bounded("ping", schema::ping(self)).await?;
        Ok(started.elapsed())
    }

    async fn create_room(
        &self,
        name: &RoomName,
        creator: UserId,
    ) -> Result<(Room, OutboxEntry), StoreError> {
        self.bounded("create_room", rooms::create(self, name, creator)).await
    }

    async fn rooms_of(&self, user: UserId, limit: u32) -> Result<Vec<Room>, StoreError> {
        self.bounded("rooms_of", rooms::of(self, user, limit)).await
    }

    async fn join(&self, room: RoomId, user: UserId) -> Result<Joined, StoreError> {
        self.bounded("join", rooms::join(self, room, user)).await
    }

    async fn leave(&self, room: RoomId, user: UserId) -> Result<Left, StoreError> {
        self.bounded("leave", rooms::leave(self, room, user)).await
    }

    async fn is_member(&self, room: RoomId, user: UserId) -> Result<bool, StoreError> {
        self.bounded("is_member", rooms::is_member(self, room, user)).await
    }

    async fn members(&self, room: RoomId, limit: u32) -> Result<Vec<Member>, StoreError> {
        self.bounded("members", rooms::members(self, room, limit)).await
    }

    async fn messages(&self, room: RoomId, page: Page) -> Result<Vec<Message>, StoreError> {
        self.bounded("messages", history::page(self, room, page)).await
    }

    async fn message_exists(&self, room: RoomId, id: MessageId) -> Result<bool, StoreError> {
        self.bounded("message_exists", history::exists(self, room, id)).await
    }

    async fn newest_ids(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, MessageId>, StoreError> {
        self.bounded("newest_ids", history::newest_ids(self, rooms)).await
    }

    async fn position(&self, topic: &str, partition: i32) -> Result<Option<i64>, StoreError> {
        self.bounded("position", persist::position(self, topic, partition)).await
    }

    async fn persist(&self, batch: Batch<'_>) -> Result<Persisted, StoreError> {
        self.bounded("persist", persist::persist(self, &batch)).await
    }

    async fn outbox(&self, min_age: Duration, limit: u32) -> Result<Vec<OutboxEntry>, StoreError> {
        self.bounded("outbox", rooms::outbox(self, min_age, limit)).await
    }

    async fn outbox_remove(&self, ids: &[i64]) -> Result<(), StoreError> {
        self.bounded("outbox_remove", rooms::outbox_remove(self, ids)).await
    }
}

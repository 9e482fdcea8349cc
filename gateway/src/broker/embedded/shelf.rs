//! The SQLite file of the log. One connection, used by the writer alone.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection as _, QueryBuilder, Row as _, Sqlite, SqliteConnection, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{Location, PARTITION};
use crate::broker::{BrokerError, Incoming, Outgoing};

/// Rows of one statement.
const ROWS_MAX: usize = 200;

/// How long another process (a backup, a shell) may hold the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: [&str; 2] = [
    "create table if not exists records (
        topic text not null, \"offset\" integer not null, key blob not null, value blob not null,
        headers text not null, primary key (topic, \"offset\")) without rowid",
    "create table if not exists heads (
        topic text primary key, \"end\" integer not null, committed integer) without rowid",
];

/// Where a topic stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The offset after the newest record: never goes back, also when all records are trimmed, as a commit notes it too.
    pub(super) end: i64,
    pub(super) committed: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Shelf {
    connection: SqliteConnection,
    options: SqliteConnectOptions,
}

impl Shelf {
    pub(super) async fn open(location: &Location, durable: bool) -> Result<Self, BrokerError> {
        let options = match location {
            Location::Memory => SqliteConnectOptions::new().in_memory(true),
            Location::File(path) => SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal),
        };
        let options = if durable {
            // macOS needs the second one for an fsync that reaches the medium; elsewhere it changes nothing.
            options.synchronous(SqliteSynchronous::Full).pragma("fullfsync", "ON")
        } else {
            options.synchronous(SqliteSynchronous::Off)
        };
        let options = options.busy_timeout(BUSY_TIMEOUT);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(unavailable)?;
        for statement in SCHEMA {
            sqlx::query(statement).execute(&mut connection).await.map_err(unavailable)?;
        }
        Ok(Self { connection, options })
    }

    pub(super) async fn head(&mut self, topic: &str) -> Result<Head, BrokerError> {
        let row = sqlx::query(
            "select max(
                coalesce((select \"end\" from heads where topic = ?1), 0),
                coalesce((select max(\"offset\") + 1 from records where topic = ?1), 0)),
                (select committed from heads where topic = ?1)",
        )
        .bind(topic)
        .fetch_one(&mut self.connection)
        .await
        .map_err(unavailable)?;
        let read =
            || Ok::<_, sqlx::Error>(Head { end: row.try_get(0)?, committed: row.try_get(1)? });
        read().map_err(unavailable)
    }

    /// A full disk makes `SQLite` itself end a transaction, and sqlx then believes in one that is not there: its
    /// connection is replaced.
    async fn ready(&mut self) -> Result<(), BrokerError> {
        if self.connection.is_in_transaction() {
            // A rollback that is still on its way is done after this.
            self.connection.ping().await.map_err(unavailable)?;
        }
        if self.connection.is_in_transaction() {
            let connection = SqliteConnection::connect_with(&self.options).await;
            self.connection = connection.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, BrokerError> {
        self.ready().await?;
        self.connection.begin().await.map_err(unavailable)
    }

    /// One transaction: on disk when it returns. Each record comes with its offset, in order, per topic.
    ///
    /// A single statement is a transaction by itself: each further one would cost a round trip to the connection's thread.
    pub(super) async fn append(&mut self, records: &[(i64, &Outgoing)]) -> Result<(), BrokerError> {
        if records.len() <= ROWS_MAX {
            // Also replaces a connection that has ended a transaction by itself.
            self.ready().await?;
            return insert(&mut self.connection, records).await;
        }
        let mut transaction = self.begin().await?;
        for rows in records.chunks(ROWS_MAX) {
            insert(&mut transaction, rows).await?;
        }
        transaction.commit().await.map_err(unavailable)
    }

    pub(super) async fn read(
        &mut self,
        topic: &str,
        from: i64,
        limit: usize,
    ) -> Result<Vec<Incoming>, BrokerError> {
        let rows = sqlx::query(
            "select \"offset\", key, value from records
             where topic = ? and \"offset\" >= ? order by \"offset\" limit ?",
        )
        .bind(topic)
        .bind(from)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut self.connection)
        .await
        .map_err(unavailable)?;
        let record = |row: sqlx::sqlite::SqliteRow| {
            let (key, value): (Vec<u8>, Vec<u8>) = (row.try_get(1)?, row.try_get(2)?);
            let (key, value) = (Some(key.into()), Some(value.into()));
            Ok(Incoming { partition: PARTITION, offset: row.try_get(0)?, key, value })
        };
        rows.into_iter().map(record).collect::<Result<_, sqlx::Error>>().map_err(unavailable)
    }

    /// Notes what is finished and, with `trim`, drops it.
    pub(super) async fn commit(
        &mut self,
        topic: &str,
        next: i64,
        trim: bool,
    ) -> Result<(), BrokerError> {
        let statements: [&'static str; 2] = [
            "insert into heads (topic, \"end\", committed) values (?1, ?2, ?2)
             on conflict (topic) do update set committed = ?2, \"end\" = max(\"end\", ?2)",
            "delete from records where topic = ?1 and \"offset\" < ?2",
        ];
        let mut transaction = self.begin().await?;
        for statement in &statements[..if trim { 2 } else { 1 }] {
            let query = sqlx::query(AssertSqlSafe(*statement)).bind(topic).bind(next);
            query.execute(&mut *transaction).await.map_err(unavailable)?;
        }
        transaction.commit().await.map_err(unavailable)
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    records: &[(i64, &Outgoing)],
) -> Result<(), BrokerError> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "insert into records (topic, \"offset\", key, value, headers) ",
    );
    insert.push_values(records, |mut row, (offset, record)| {
        row.push_bind(&*record.topic)
            .push_bind(offset)
            .push_bind(record.key.as_deref().unwrap_or_default())
            .push_bind(record.value.as_deref().unwrap_or_default())
            .push_bind(headers(record));
    });
    insert.build().execute(connection).await.map_err(unavailable)?;
    Ok(())
}

/// For people who read the dead letters: one line per header.
fn headers(record: &Outgoing) -> String {
    let lines = record.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value);
        format!("{name}: {value}\n")
    });
    lines.collect()
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unavailable(error: sqlx::Error) -> BrokerError {
    BrokerError::Unavailable(format!("the log on disk: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_durable_log_is_synced_to_the_medium() {
        for durable in [true, false] {
            let mut shelf = Shelf::open(&Location::Memory, durable).await.unwrap();
            for (pragma, expect) in [("pragma synchronous", 2), ("pragma fullfsync", 1)] {
                let set: i64 =
                    sqlx::query_scalar(pragma).fetch_one(&mut shelf.connection).await.unwrap();
                assert_eq!(set, if durable { expect } else { 0 }, "{pragma}");
            }
        }
    }
}

//! A fresh store of each kind.

use std::{panic::AssertUnwindSafe, str::FromStr as _, time::Duration};

use futures_util::FutureExt as _;
use gateway::store::{Location, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions,
};
use uuid::Uuid;

use crate::servers::database_url;

/// Generous: a slow machine must not fail a check that is not about time.
pub(super) const OPTIONS: PostgresOptions =
    PostgresOptions { pool_connections_max: 4, call_timeout: Duration::from_secs(20) };

/// A database of its own, empty.
pub(super) struct Database {
    name: String,
    pub(super) server: PgConnectOptions,
}

impl Database {
    pub(super) fn url(&self) -> String {
        self.server.to_url_lossy().to_string()
    }

    pub(super) fn open(&self) -> PostgresStore {
        PostgresStore::connect(&self.url(), OPTIONS).unwrap()
    }
}

/// Runs `check` on a database that is dropped afterwards, also when it panics.
pub(super) async fn with_database(check: impl AsyncFnOnce(&Database)) {
    let url = database_url();
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let name = format!("test_{}", Uuid::new_v4().simple());
    let create =
        AssertSqlSafe(format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"));
    sqlx::query(create).execute(&mut admin).await.unwrap();
    let server = PgConnectOptions::from_str(&url).unwrap().database(&name);
    let database = Database { name, server };
    let outcome = AssertUnwindSafe(check(&database)).catch_unwind().await;
    let drop = AssertSqlSafe(format!("DROP DATABASE {} WITH (FORCE)", database.name));
    sqlx::query(drop).execute(&mut admin).await.unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

pub(super) async fn with_postgres(check: impl AsyncFnOnce(&dyn Store)) {
    with_database(async |database| migrated(&database.open(), check).await).await;
}

pub(super) async fn with_sqlite_file(check: impl AsyncFnOnce(&dyn Store)) {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::File(directory.path().join("chat.db"));
    let store = SqliteStore::open(SqliteOptions { location, durable: true }).await.unwrap();
    migrated(&store, check).await;
}

pub(super) async fn with_sqlite_in_memory(check: impl AsyncFnOnce(&dyn Store)) {
    migrated(&sqlite_in_memory().await, check).await;
}

pub(super) async fn sqlite_in_memory() -> SqliteStore {
    let options = SqliteOptions { location: Location::Memory, durable: false };
    SqliteStore::open(options).await.unwrap()
}

async fn migrated(store: &dyn Store, check: impl AsyncFnOnce(&dyn Store)) {
    store.migrate().await.unwrap();
    check(store).await;
}

//! Migrations.

use futures_util::future::join_all;
use gateway::store::{Location, SqliteOptions, SqliteStore, Store};
use sqlx::{Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::backends::{sqlite_in_memory, with_database};

const CHANGE_CHECKSUM: &str = "UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 1";
const CHANGE_VERSION: &str = "UPDATE _sqlx_migrations SET version = 999999 WHERE version = 1";

async fn check_migrate(store: &dyn Store) {
    assert!(!store.is_migrated().await.unwrap(), "an empty database is not migrated");
    for outcome in join_all((0..4).map(|_| store.migrate())).await {
        outcome.unwrap();
    }
    assert!(store.is_migrated().await.unwrap());
    store.migrate().await.unwrap();
    assert!(store.is_migrated().await.unwrap());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn several_may_migrate_postgres_at_once() {
    with_database(async |database| check_migrate(&database.open()).await).await;
}

#[tokio::test]
async fn several_may_migrate_sqlite_at_once() {
    check_migrate(&sqlite_in_memory().await).await;
}

#[tokio::test]
async fn another_schema_of_postgres_is_noticed() {
    for change in [CHANGE_CHECKSUM, CHANGE_VERSION] {
        with_database(async |database| {
            let store = database.open();
            store.migrate().await.unwrap();
            let mut connection = PgConnection::connect_with(&database.server).await.unwrap();
            sqlx::query(change).execute(&mut connection).await.unwrap();
            assert!(!store.is_migrated().await.unwrap());
            assert!(store.migrate().await.is_err());
        })
        .await;
    }
}

#[tokio::test]
async fn another_schema_of_a_sqlite_file_is_noticed() {
    for change in ["UPDATE _sqlx_migrations SET checksum = x'00'", CHANGE_VERSION] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let location = Location::File(path.clone());
        let options = SqliteOptions { location, durable: true };
        let store = SqliteStore::open(options).await.unwrap();
        store.migrate().await.unwrap();
        let options = SqliteConnectOptions::new().filename(&path);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query(change).execute(&mut connection).await.unwrap();
        assert!(!store.is_migrated().await.unwrap());
        assert!(store.migrate().await.is_err());
    }
}

#[tokio::test]
async fn a_sqlite_file_keeps_what_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("chat.db").display());
    for (expected, next) in [(None, 1), (Some(1), 2)] {
        let store = SqliteStore::open_url(&url, true).await.unwrap();
        store.migrate().await.unwrap();
        super::persist(&store, expected, next, &[super::message(super::room())]).await;
    }
}

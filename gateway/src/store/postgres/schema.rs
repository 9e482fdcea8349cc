//! Migrations and the ping.

use sqlx::{ConnectOptions as _, Connection as _, migrate::Migrator};
use tokio::time::timeout;

use super::PostgresStore;
use crate::store::{
    MigrationError, StoreError,
    schema::{Applied, is_current},
};

static MIGRATOR: Migrator = sqlx::migrate!("migrations/postgres");

/// On a connection of its own: a migration may take longer than a call, and closing the connection gives the
/// advisory lock up on every path.
pub(super) async fn migrate(store: &PostgresStore) -> Result<(), MigrationError> {
    let limits = [("statement_timeout", "0"), ("lock_timeout", "0")];
    let server = store.pool.connect_options().as_ref().clone().options(limits);
    let mut connection = timeout(store.call_timeout, server.connect())
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(StoreError::from)?;
    MIGRATOR.run_direct(None, &mut connection, false).await?;
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the connection of the migrations did not close cleanly: {error}");
    }
    Ok(())
}

pub(super) async fn is_migrated(store: &PostgresStore) -> Result<bool, StoreError> {
    let mut connection = store.acquire().await?;
    let outcome = applied(connection.get()).await;
    Ok(is_current(&MIGRATOR, &connection.settle(outcome)?))
}

async fn applied(connection: &mut sqlx::PgConnection) -> Result<Vec<Applied>, sqlx::Error> {
    let has_table: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !has_table {
        return Ok(Vec::new());
    }
    sqlx::query_as("SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version")
        .fetch_all(connection)
        .await
}

pub(super) async fn ping(store: &PostgresStore) -> Result<(), StoreError> {
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query("SELECT 1").execute(connection.get()).await;
    connection.settle(outcome)?;
    Ok(())
}

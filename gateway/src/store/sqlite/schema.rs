//! Migrations and the ping.

use sqlx::migrate::Migrator;

use super::SqliteStore;
use crate::store::{
    MigrationError, StoreError,
    schema::{Applied, is_current},
};

static MIGRATOR: Migrator = sqlx::migrate!("migrations/sqlite");

pub(super) async fn migrate(store: &SqliteStore) -> Result<(), MigrationError> {
    let mut connection = store.write.acquire().await.map_err(StoreError::from)?;
    Ok(MIGRATOR.run_direct(None, &mut *connection, false).await?)
}

pub(super) async fn is_migrated(store: &SqliteStore) -> Result<bool, StoreError> {
    const HAS_TABLE: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?)";
    const APPLIED: &str =
        "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";
    let has_table: bool =
        sqlx::query_scalar(HAS_TABLE).bind("_sqlx_migrations").fetch_one(&store.read).await?;
    if !has_table {
        return Ok(false);
    }
    let applied: Vec<Applied> = sqlx::query_as(APPLIED).fetch_all(&store.read).await?;
    Ok(is_current(&MIGRATOR, &applied))
}

/// Asks the write connection: the one that a full or broken disk would stop.
pub(super) async fn ping(store: &SqliteStore) -> Result<(), StoreError> {
    sqlx::query("SELECT 1").execute(&store.write).await?;
    Ok(())
}

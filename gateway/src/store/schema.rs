//! Whether a schema is the one that this program embeds.

use sqlx::migrate::Migrator;

/// A row of the table in which sqlx notes what was applied.
#[derive(sqlx::FromRow)]
pub(super) struct Applied {
    version: i64,
    checksum: Vec<u8>,
    success: bool,
}

/// Exactly the embedded migrations, in their order, each unchanged and finished.
pub(super) fn is_current(migrator: &Migrator, applied: &[Applied]) -> bool {
    applied.len() == migrator.iter().count()
        && migrator.iter().zip(applied).all(|(wanted, found)| {
            found.success
                && found.version == wanted.version
                && found.checksum == wanted.checksum.as_ref()
        })
}

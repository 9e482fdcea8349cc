//! What the database may answer, and the limit on how long it may take.
//!
//! Only an error that is about the values is `Rejected`: the persistor buries what was rejected, so anything
//! unknown must count as an outage, which is waited out.

use std::{future::Future, io, time::Duration};

use sqlx::{
    error::DatabaseError, migrate::MigrateError, postgres::PgDatabaseError, sqlite::SqliteError,
};
use tokio::time::timeout;

/// `SQLSTATE` class of values that do not fit their type.
const SQLSTATE_DATA_EXCEPTION: &str = "22";
/// `SQLSTATE` class of violated constraints.
const SQLSTATE_CONSTRAINT_VIOLATION: &str = "23";

/// Primary result codes of SQLite that are about the values: `TOOBIG`, `CONSTRAINT`, `MISMATCH`.
const SQLITE_REFUSALS: [i32; 3] = [18, 19, 20];
/// The low byte of an extended result code is the primary one.
const SQLITE_PRIMARY_MASK: i32 = 0xff;

/// What the database answered instead of what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Cannot be reached, timed out, shutting down, locked: the same call may succeed later.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database refuses these values; repeating the call is useless.
    #[error("the database refused the values")]
    Rejected(#[source] sqlx::Error),
    /// A row that this program could not have written.
    #[error("the database holds an invalid row: {0}")]
    Corrupt(String),
}

/// Why a schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The schema and this program do not belong together (another version has been here), and waiting does not change
    /// that. The text is about migrations, never about values of users.
    #[error("its schema is not one that this program can bring up to date: {0}")]
    Schema(#[source] MigrateError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a store could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Names what is wrong, never the URL itself: it may hold a password.
    #[error("the URL is not valid: {0}")]
    InvalidUrl(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreError {
    /// `Unavailable`, for a wait that took too long.
    pub fn timed_out(reason: impl Into<String>) -> Self {
        Self::Unavailable(io::Error::new(io::ErrorKind::TimedOut, reason.into()).into())
    }

    /// Stable word for metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Rejected(_) => "rejected",
            Self::Corrupt(_) => "corrupt",
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
            return Self::Corrupt(error.to_string());
        }
        if is_about_the_values(&error) { Self::Rejected(error) } else { Self::Unavailable(error) }
    }
}

impl From<MigrateError> for MigrationError {
    fn from(error: MigrateError) -> Self {
        let is_outage = matches!(
            &error,
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
                if !is_about_the_values(source)
        );
        if is_outage {
            return Self::Store(StoreError::Unavailable(sqlx::Error::Migrate(Box::new(error))));
        }
        Self::Schema(error)
    }
}

fn is_about_the_values(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        Some(answer) => is_refusal(answer),
        None => matches!(error, sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_)),
    }
}

fn is_refusal(answer: &(dyn DatabaseError + 'static)) -> bool {
    if let Some(answer) = answer.try_downcast_ref::<PgDatabaseError>() {
        return is_postgres_refusal(answer.code());
    }
    answer.try_downcast_ref::<SqliteError>().is_some_and(|answer| {
        let code = answer.code().and_then(|code| code.parse().ok());
        code.is_some_and(is_sqlite_refusal)
    })
}

fn is_postgres_refusal(sqlstate: &str) -> bool {
    sqlstate.starts_with(SQLSTATE_DATA_EXCEPTION)
        || sqlstate.starts_with(SQLSTATE_CONSTRAINT_VIOLATION)
}

fn is_sqlite_refusal(extended_code: i32) -> bool {
    SQLITE_REFUSALS.contains(&(extended_code & SQLITE_PRIMARY_MASK))
}

/// Runs `work` for at most `limit`, and counts how it failed. Work that is cut off is dropped.
pub(super) async fn bounded<T>(
    call: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let outcome = timeout(limit, work).await.unwrap_or_else(|_| {
        let limit = limit.as_millis();
        Err(StoreError::timed_out(format!("no answer to `{call}` within {limit} ms")))
    });
    if let Err(error) = &outcome {
        metrics::counter!("store_errors_total", "call" => call, "error" => error.code())
            .increment(1);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_and_constraints_are_refusals_of_postgres() {
        for code in ["22021", "22P05", "23505", "23502"] {
            assert!(is_postgres_refusal(code), "{code}");
        }
        for code in [
            "08006", "25006", "40001", "40P01", "42P01", "42501", "53100", "53300", "55P03",
            "57014", "57P01", "57P03", "58030", "XX000",
        ] {
            assert!(!is_postgres_refusal(code), "{code}");
        }
    }

    #[test]
    fn a_busy_full_or_broken_file_is_no_refusal_of_sqlite() {
        // CONSTRAINT_UNIQUE, CONSTRAINT_PRIMARYKEY, CONSTRAINT_NOTNULL, CONSTRAINT_DATATYPE, TOOBIG, MISMATCH.
        for code in [2067, 1555, 1299, 3091, 18, 20] {
            assert!(is_sqlite_refusal(code), "{code}");
        }
        // BUSY, BUSY_SNAPSHOT, LOCKED, IOERR_FSYNC, FULL, CANTOPEN, READONLY, CORRUPT, NOTADB, NOMEM.
        for code in [5, 517, 6, 1034, 13, 14, 8, 11, 26, 7] {
            assert!(!is_sqlite_refusal(code), "{code}");
        }
    }

    #[test]
    fn errors_without_an_answer_are_outages() {
        for error in [
            sqlx::Error::PoolTimedOut,
            sqlx::Error::PoolClosed,
            sqlx::Error::WorkerCrashed,
            sqlx::Error::Io(io::Error::from(io::ErrorKind::ConnectionReset)),
            sqlx::Error::Tls("handshake".into()),
            sqlx::Error::Protocol("unexpected".into()),
        ] {
            assert_eq!(StoreError::from(error).code(), "unavailable");
        }
    }

    #[tokio::test]
    async fn work_that_never_ends_is_unavailable_when_the_limit_is_over() {
        let limit = Duration::from_millis(10);
        let outcome = bounded("ping", limit, std::future::pending::<Result<(), _>>()).await;
        assert_eq!(
            outcome.unwrap_err().to_string(),
            "the database is unavailable: error communicating with database: \
             no answer to `ping` within 10 ms",
        );
    }
}

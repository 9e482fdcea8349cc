//! Wires the gateway together. The only module that knows all the others.

mod backends;
mod parts;
mod run;

use std::{collections::BTreeMap, io, net::SocketAddr};

use crate::{
    authenticate::{Authenticator, KeyError},
    broker::BrokerError,
    config::{Config, ConfigError, KeySource, Overrides, Role},
    persistor::PersistorError,
    store::{MigrationError, StoreError},
    telemetry::TelemetryError,
};

pub use backends::{Opened, describe, migrate, open};
pub use run::{Bound, bind, run};

/// Reads every setting for `role`, and tries those that only show what is wrong with them when they are used.
pub fn load(
    role: Role,
    environment: BTreeMap<String, String>,
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    let (config, mut problems) = match Config::load(role, environment, overrides) {
        Ok(config) => (config, Vec::new()),
        Err(ConfigError { config, problems }) => (*config, problems),
    };
    for problem in hidden_problems(&config) {
        // Said already, in other words.
        let is_new = |known: &String| known.split(':').next() != problem.split(':').next();
        if problems.iter().all(is_new) {
            problems.push(problem);
        }
    }
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError { problems, config: Box::new(config) })
    }
}

/// Key files, addresses, the log level.
fn hidden_problems(config: &Config) -> Vec<String> {
    let mut problems = backends::problems(config);
    if config.role.serves_clients()
        && !matches!(config.tokens.key, KeySource::None)
        && let Err(error) = Authenticator::new(&config.tokens)
    {
        problems.push(error.to_string());
    }
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log_level) {
        problems.push(format!("LOG_LEVEL: {error}"));
    }
    problems
}

/// Why a process could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A setting that only shows to be wrong when it is used.
    #[error("{0}")]
    Setting(String),
    #[error("`{setting}`: {what} could not be reached within START_LIMIT_MS: {reason}")]
    Unreachable { setting: &'static str, what: &'static str, reason: String },
    #[error("the database schema is not up to date: run `gateway migrate` first")]
    NotMigrated,
    #[error("topics are missing ({0}): run `gateway migrate` first")]
    TopicsMissing(String),
    #[error(
        "DATA_DIR: `{directory}` is held by another process: stop it, or give this one a directory of its own with `--data`"
    )]
    DataDirHeld { directory: String },
    #[error(
        "DATABASE_URL: `{file}` is held by another process: stop it, or give this one a file of its own"
    )]
    DatabaseHeld { file: String },
    #[error("DATA_DIR: cannot use `{directory}`: {source}")]
    DataDir { directory: String, source: io::Error },
    #[error("{settings}: cannot listen on {address}: {source}")]
    Listen { settings: &'static str, address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    #[error("the database: {0}")]
    Migration(#[from] MigrationError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Persistor(#[from] PersistorError),
    #[error("a part of the gateway stopped: {0}")]
    PartStopped(String),
    #[error("a stop took longer than it may: {0}")]
    DrainedLate(String),
}

impl AppError {
    /// The exit code of the process (contract, section 6).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Setting(_)
            | Self::DataDir { .. }
            | Self::Key(_)
            | Self::Telemetry(TelemetryError::Level(_)) => 64,
            // Not this machine's address; a port that is taken may be free the next time.
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => 64,
            Self::Unreachable { .. } => 69,
            Self::NotMigrated
            | Self::TopicsMissing(_)
            | Self::DataDirHeld { .. }
            | Self::DatabaseHeld { .. }
            | Self::Listen { .. }
            | Self::Telemetry(TelemetryError::Logs(_) | TelemetryError::Metrics(_))
            | Self::Store(_)
            | Self::Migration(_)
            | Self::Broker(_)
            | Self::Persistor(_)
            | Self::PartStopped(_)
            | Self::DrainedLate(_) => 1,
        }
    }
}

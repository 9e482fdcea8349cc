//! What scenarios run against: gateways and workers as processes of our own, on the servers of a stack or on embedded
//! backends; or gateways that somebody else runs.
//!
//! Owns processes and addresses. Refuses to know scenarios' steps.

mod deployment;
mod process;
mod servers;
mod shape;
mod token;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

pub use deployment::Deployment;
pub use servers::Servers;
pub use shape::Shape;
pub use token::{Signer, expiry};

use crate::stack::StackError;

/// Why something could not be run.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error(
        "starting `{program}`: {source}; build it with `cargo build -p gateway`, or name it with `--gateway`"
    )]
    NoProgram { program: PathBuf, source: std::io::Error },
    #[error("`{name}` was not ready in {seconds} s; its log ends:\n{log}")]
    NotReady { name: String, seconds: u64, log: String },
    #[error("`{name}` still ran {seconds} s after it should have ended; its log ends:\n{log}")]
    NotEnded { name: String, seconds: u64, log: String },
    #[error("`{name}` was asked to end, and did so with {status}; its log ends:\n{log}")]
    BadEnd { name: String, status: std::process::ExitStatus, log: String },
    #[error("`{name}` ended by itself; its log ends:\n{log}")]
    Ended { name: String, log: String },
    #[error("`{0}` does not run")]
    NotRunning(String),
    #[error("`{0}` is not run by this harness")]
    NotOurs(String),
    #[error("{doing}: {source}")]
    Io { doing: String, source: std::io::Error },
    #[error("{doing}: {source}")]
    Database { doing: String, source: sqlx::Error },
    #[error(transparent)]
    Stack(#[from] StackError),
}

impl DeployError {
    /// Whether a process could not start since somebody else listens on its port.
    pub fn is_of_a_port(&self) -> bool {
        matches!(self, Self::Ended { log, .. } if log.contains("Address already in use"))
    }
}

/// Everything that the engine may look at or break.
#[derive(Clone, Debug)]
pub struct Site {
    /// `gw1` is the first.
    pub gateways: Vec<SocketAddr>,
    /// The admin ports of `gw1`, `worker1` and so on, where they are known.
    pub admin: BTreeMap<String, SocketAddr>,
    /// The `serverId` of `gw1` and so on, where it is known.
    pub server_ids: BTreeMap<String, String>,
    pub signer: Signer,
    pub redis_url: Option<String>,
    pub database_url: Option<String>,
    pub kafka: Option<Topics>,
    /// Processes that can be broken.
    pub deployment: Option<Arc<Deployment>>,
}

/// Where records are.
#[derive(Clone, Debug)]
pub struct Topics {
    pub brokers: String,
    /// Before the contract's names of topics; empty on somebody else's site.
    pub prefix: String,
}

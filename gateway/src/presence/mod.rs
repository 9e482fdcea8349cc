//! Who is online, on which sockets: the Redis hash of the contract, leases, reconciliation.
//!
//! [`Presence`] is the storage (Redis or in process), [`Registrar`] the one task of a gateway that issues its
//! commands in order. Nothing here ever delays or fails a message or a connection.

mod embedded;
mod redis;
mod registrar;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::chat::{SocketId, UserId};

pub use embedded::EmbeddedPresence;
pub use redis::{RedisPresence, RedisSettings};
pub use registrar::{Registrar, RegistrarSettings};

/// One field of the hash `presence:user:{userId}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub socket_id: SocketId,
    pub server_id: String,
    /// In whole milliseconds.
    pub connected_at: DateTime<Utc>,
}

/// One command about one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `HSET` + `EXPIRE`.
    Connect { user: UserId, entry: Entry },
    /// `HEXISTS` + `HSET` + `EXPIRE`: registers again what has expired.
    Heartbeat { user: UserId, entry: Entry },
    /// `HDEL`.
    Disconnect { user: UserId, socket_id: SocketId },
}

impl Command {
    /// The gateway whose lease makes the entry count; `None` for one that is removed.
    pub fn owner(&self) -> Option<&str> {
        match self {
            Self::Connect { entry, .. } | Self::Heartbeat { entry, .. } => Some(&entry.server_id),
            Self::Disconnect { .. } => None,
        }
    }
}

/// Redis did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("presence is unavailable: {0}")]
pub struct PresenceError(pub String);

/// What `renew_lease` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    Renewed,
    /// It was gone (expired, or Redis came back empty) and was taken anew: sockets must be registered again.
    TakenAnew,
}

/// Where presence is kept. Every call is bounded by a timeout of its own.
#[async_trait]
pub trait Presence: Debug + Send + Sync {
    /// Runs the commands in order, in one pipeline. Connect and heartbeat also remove fields of the
    /// same key that no live lease covers. All of them may be repeated after an error.
    /// An error may say that the lease of the entries' gateway is gone, so that they count for nothing.
    async fn apply(&self, commands: &[Command]) -> Result<(), PresenceError>;
    /// The sockets that count: those with a live lease that is not younger than they are.
    /// Fields that do not count are removed on the way.
    async fn sockets(&self, user: UserId) -> Result<Vec<Entry>, PresenceError>;
    /// Takes the lease with `started_at` as its value, whoever held it.
    async fn take_lease(
        &self,
        server_id: &str,
        started_at: DateTime<Utc>,
    ) -> Result<(), PresenceError>;
    /// Prolongs the lease.
    async fn renew_lease(
        &self,
        server_id: &str,
        started_at: DateTime<Utc>,
    ) -> Result<Lease, PresenceError>;
    /// Gives the lease up if its value is still `started_at`.
    async fn release_lease(
        &self,
        server_id: &str,
        started_at: DateTime<Utc>,
    ) -> Result<(), PresenceError>;
    /// How long the backend takes to answer.
    async fn ping(&self) -> Result<Duration, PresenceError>;
}

//! Presence inside this process: the same rules as the Redis hash, for `dev` and `standalone`.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Command, Entry, Lease, Presence, PresenceError};
use crate::chat::UserId;

/// Keys are looked through for expired ones when their number has doubled, and not below this.
const SWEEP_KEYS_MIN: usize = 1_024;

/// Who is online in this process.
#[derive(Debug)]
pub struct EmbeddedPresence {
    ttl: Duration,
    lease: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    users: HashMap<UserId, Key>,
    leases: HashMap<String, (DateTime<Utc>, Instant)>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Key {
    entries: Vec<Entry>,
    expires: Instant,
}

impl EmbeddedPresence {
    /// `ttl`: of a user's key; `lease`: of a gateway.
    pub fn new(ttl: Duration, lease: Duration) -> Self {
        Self { ttl, lease, state: Mutex::default() }
    }
}

impl State {
    /// Sets a field, prolongs the key, and removes the fields that do not count.
    fn set(&mut self, user: UserId, entry: &Entry, ttl: Duration) {
        let now = Instant::now();
        let expires = now + ttl;
        let key = self.users.entry(user).or_insert(Key { entries: Vec::new(), expires });
        if key.expires <= now {
            key.entries.clear();
        }
        key.expires = expires;
        key.entries.retain(|other| other.socket_id != entry.socket_id);
        key.entries.push(entry.clone());
        let leases = &self.leases;
        key.entries.retain(|entry| counts(leases, entry, now));
        self.sweep(now);
    }

    fn sweep(&mut self, now: Instant) {
        if self.users.len() >= self.sweep_at.max(SWEEP_KEYS_MIN) {
            self.users.retain(|_, key| key.expires > now && !key.entries.is_empty());
            self.sweep_at = self.users.len() * 2;
        }
    }
}

fn counts(leases: &HashMap<String, (DateTime<Utc>, Instant)>, entry: &Entry, now: Instant) -> bool {
    leases
        .get(&entry.server_id)
        .is_some_and(|(started_at, expires)| *expires > now && entry.connected_at >= *started_at)
}

#[async_trait]
impl Presence for EmbeddedPresence {
    async fn apply(&self, commands: &[Command]) -> Result<(), PresenceError> {
        let mut state = self.state.lock();
        for command in commands {
            match command {
                Command::Connect { user, entry } | Command::Heartbeat { user, entry } => {
                    state.set(*user, entry, self.ttl);
                }
                Command::Disconnect { user, socket_id } => {
                    if let Some(key) = state.users.get_mut(user) {
                        key.entries.retain(|entry| entry.socket_id != *socket_id);
                        if key.entries.is_empty() {
                            state.users.remove(user);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn sockets(&self, user: UserId) -> Result<Vec<Entry>, PresenceError> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let State { users, leases, .. } = &mut *state;
        let Some(key) = users.get_mut(&user).filter(|key| key.expires > now) else {
            return Ok(Vec::new());
        };
        key.entries.retain(|entry| counts(leases, entry, now));
        Ok(key.entries.clone())
    }

    async fn take_lease(
        &self,
        server_id: &str,
        started_at: DateTime<Utc>,
    ) -> Result<(), PresenceError> {
        let lease = (started_at, Instant::now() + self.lease);
        self.state.lock().leases.insert(server_id.to_owned(), lease);
        Ok(())
    }

    async fn renew_lease(
        &self,
        server_id: &str,
        started_at: DateTime<Utc>,
    ) -> Result<Lease, PresenceError> {
        let now = Instant::now();
        let lease = (started_at, now + self.lease);
        let before = self.state.lock().leases.insert(server_id.to_owned(), lease);
        match before {
            Some((value, expires)) if value == started_at && expires > now => Ok(Lease::Renewed),
            Some(_) | None => Ok(Lease::TakenAnew),
        }
    }

    async fn release_lease(
        &self,
        server_id: &str,
        started_at: DateTime<Utc>,
    ) -> Result<(), PresenceError> {
        let mut state = self.state.lock();
        if state.leases.get(server_id).is_some_and(|(value, _)| *value == started_at) {
            state.leases.remove(server_id);
        }
        Ok(())
    }

    async fn ping(&self) -> Result<Duration, PresenceError> {
        Ok(Duration::ZERO)
    }
}

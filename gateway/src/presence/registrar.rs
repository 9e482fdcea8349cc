//! The one task of a gateway that writes presence, so that the commands of a socket keep their order.
//!
//! Callers never wait: they note what is to be done, at most one thing per socket. What fails is kept and done when
//! Redis is back; then every live socket is registered again, for Redis may have come back empty.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, SubsecRound as _, Utc};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Command, Entry, Lease, Presence, PresenceError};
use crate::{
    chat::{SocketId, UserId},
    config::LEASE_RENEWALS,
    shutdown::Shutdown,
};

/// Commands of one pipeline.
const COMMANDS_MAX: usize = 500;

/// Between two attempts while Redis is away.
const RETRY: Duration = Duration::from_millis(500);

/// Who writes, and how often.
#[derive(Clone, Debug)]
pub struct RegistrarSettings {
    pub server_id: String,
    /// Renewed [`LEASE_RENEWALS`] times while it would live.
    pub lease: Duration,
}

/// One socket of one user.
type Key = (UserId, SocketId);

/// What is to be done for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    /// A connect that was never tried: Redis has not heard of the socket.
    First,
    Connect,
    Heartbeat,
    /// Nothing else is issued for the socket after this.
    Disconnect,
}

#[derive(Debug, Default)]
struct State {
    live: HashMap<Key, DateTime<Utc>>,
    /// Bounded by the sockets that live or that ended since Redis was last there.
    pending: HashMap<Key, Pending>,
    in_flight: HashSet<Key>,
}

/// Notes what happens to sockets; a task writes it down. Clones share both.
#[derive(Clone, Debug)]
pub struct Registrar {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    presence: Arc<dyn Presence>,
    settings: RegistrarSettings,
    /// The value of the lease: not later than any socket.
    started_at: DateTime<Utc>,
    state: Mutex<State>,
    noted: Notify,
    written: Notify,
    closed: CancellationToken,
}

impl Registrar {
    /// Starts the task; it ends with [`Registrar::close`] or once `shutdown.stopped`.
    pub fn start(
        presence: Arc<dyn Presence>,
        settings: RegistrarSettings,
        shutdown: &Shutdown,
    ) -> Self {
        let shared = Arc::new(Shared {
            presence,
            settings,
            started_at: Utc::now().trunc_subsecs(3),
            state: Mutex::default(),
            noted: Notify::new(),
            written: Notify::new(),
            closed: shutdown.stopped.child_token(),
        });
        let closed = shared.closed.clone();
        let running = run(Arc::clone(&shared));
        shutdown.spawn_part("presence", closed.run_until_cancelled_owned(running));
        Self { shared }
    }

    /// A socket is online from now on.
    pub fn connected(&self, user: UserId, socket: SocketId, connected_at: DateTime<Utc>) {
        let connected_at = connected_at.trunc_subsecs(3).max(self.shared.started_at);
        let key = (user, socket);
        let mut state = self.shared.state.lock();
        let was_live = state.live.insert(key.clone(), connected_at).is_some();
        // A `Disconnect` that is still to be done is not forgotten: who replaces it is not the first.
        let is_first =
            !was_live && !state.pending.contains_key(&key) && !state.in_flight.contains(&key);
        state.pending.insert(key, if is_first { Pending::First } else { Pending::Connect });
        drop(state);
        self.shared.noted.notify_one();
    }

    /// A socket is still online; nothing happens if it is none of ours.
    pub fn heartbeat(&self, user: UserId, socket: &SocketId) {
        let key = (user, socket.clone());
        let mut state = self.shared.state.lock();
        if state.live.contains_key(&key) {
            state.pending.entry(key).or_insert(Pending::Heartbeat);
        }
        drop(state);
        self.shared.noted.notify_one();
    }

    /// A socket is gone.
    pub fn disconnected(&self, user: UserId, socket: &SocketId) {
        let key = (user, socket.clone());
        let mut state = self.shared.state.lock();
        if state.live.remove(&key).is_some() {
            // In an outage sockets come and go: those that Redis never heard of are not worth remembering.
            if state.pending.get(&key) == Some(&Pending::First) {
                state.pending.remove(&key);
            } else {
                state.pending.insert(key, Pending::Disconnect);
            }
        }
        drop(state);
        self.shared.noted.notify_one();
    }

    /// Writes what is noted and gives the lease up last, both within `limit`.
    pub async fn close(&self, limit: Duration) {
        let shared = &self.shared;
        let leaving = async {
            self.written().await;
            shared.closed.cancel();
            let (server_id, started_at) = (&shared.settings.server_id, shared.started_at);
            shared.presence.release_lease(server_id, started_at).await
        };
        match timeout(limit, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not release the lease, it will end: {error}");
            }
            Err(_) => {
                tracing::warn!("left presence as it is: Redis is away, the lease will end it");
            }
        }
        shared.closed.cancel();
    }

    /// Waits until nothing is to be written.
    async fn written(&self) {
        loop {
            let written = self.shared.written.notified();
            tokio::pin!(written);
            written.as_mut().enable();
            if self.shared.state.lock().is_idle() {
                return;
            }
            written.await;
        }
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.in_flight.is_empty()
    }

    /// Takes out what fits into a pipeline.
    fn take(&mut self) -> Vec<(Key, Pending)> {
        let keys: Vec<_> = self.pending.keys().take(COMMANDS_MAX).cloned().collect();
        let batch: Vec<_> = keys
            .into_iter()
            .filter_map(|key| self.pending.remove(&key).map(|pending| (key, pending)))
            .collect();
        self.in_flight = batch.iter().map(|(key, _)| key.clone()).collect();
        batch
    }

    /// Puts back what was not done, unless something newer is to be done for the socket.
    fn put_back(&mut self, batch: Vec<(Key, Pending)>) {
        for (key, tried) in batch {
            let pending = if tried == Pending::First { Pending::Connect } else { tried };
            let newer = self.pending.entry(key).or_insert(pending);
            if (*newer, pending) == (Pending::Heartbeat, Pending::Connect) {
                *newer = Pending::Connect;
            }
        }
    }

    fn register_again(&mut self) {
        for key in self.live.keys() {
            self.pending.entry(key.clone()).or_insert(Pending::Connect);
        }
    }

    fn command(&self, server_id: &str, (key, pending): &(Key, Pending)) -> Option<Command> {
        let (user, socket_id) = key.clone();
        let entry = |connected_at: &DateTime<Utc>| Entry {
            socket_id: socket_id.clone(),
            server_id: server_id.to_owned(),
            connected_at: *connected_at,
        };
        match pending {
            Pending::First | Pending::Connect => {
                let entry = self.live.get(key).map(entry)?;
                Some(Command::Connect { user, entry })
            }
            Pending::Heartbeat => {
                let entry = self.live.get(key).map(entry)?;
                Some(Command::Heartbeat { user, entry })
            }
            Pending::Disconnect => Some(Command::Disconnect { user, socket_id }),
        }
    }
}

async fn run(shared: Arc<Shared>) {
    let Shared { settings, started_at, .. } = &*shared;
    let mut renew_at = Instant::now();
    let mut is_down = false;
    if let Err(error) = shared.presence.take_lease(&settings.server_id, *started_at).await {
        went_down(&mut is_down, &error);
    }
    loop {
        if Instant::now() >= renew_at {
            renew_at = Instant::now() + shared.renew(&mut is_down).await;
        }
        if !is_down && let Err(error) = shared.write(renew_at).await {
            went_down(&mut is_down, &error);
            renew_at = Instant::now() + RETRY;
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("presence_pending").set(shared.state.lock().pending.len() as f64);
        let is_behind = !is_down && !shared.state.lock().pending.is_empty();
        tokio::select! {
            () = sleep_until(renew_at), if !is_behind => {}
            () = shared.noted.notified(), if !is_down && !is_behind => {}
            () = std::future::ready(()), if is_behind => {}
        }
    }
}

impl Shared {
    /// Renews the lease. Returns when to do so next.
    async fn renew(&self, is_down: &mut bool) -> Duration {
        let Self { settings, started_at, .. } = self;
        match self.presence.renew_lease(&settings.server_id, *started_at).await {
            Ok(lease) => {
                let came_back = std::mem::take(is_down);
                if came_back {
                    tracing::info!("presence is available again, registering every socket");
                }
                if came_back || lease == Lease::TakenAnew {
                    self.state.lock().register_again();
                }
                settings.lease / LEASE_RENEWALS
            }
            Err(error) => {
                went_down(is_down, &error);
                RETRY
            }
        }
    }

    /// Writes until nothing is pending, or until the lease is to be renewed: the commands may never end.
    async fn write(&self, renew_at: Instant) -> Result<(), PresenceError> {
        loop {
            let (batch, commands) = {
                let mut state = self.state.lock();
                let batch = state.take();
                let server_id = &self.settings.server_id;
                let commands: Vec<_> =
                    batch.iter().filter_map(|one| state.command(server_id, one)).collect();
                (batch, commands)
            };
            if batch.is_empty() {
                self.written.notify_waiters();
                return Ok(());
            }
            let result = self.presence.apply(&commands).await;
            let mut state = self.state.lock();
            state.in_flight.clear();
            if let Err(error) = result {
                state.put_back(batch);
                return Err(error);
            }
            drop(state);
            if Instant::now() >= renew_at {
                return Ok(());
            }
        }
    }
}

fn went_down(is_down: &mut bool, error: &PresenceError) {
    metrics::counter!("presence_errors_total").increment(1);
    if std::mem::replace(is_down, true) {
        tracing::debug!(%error, "presence is still unavailable: {error}");
    } else {
        tracing::warn!(%error, "messages and connections go on without presence: {error}");
    }
}

/// The sockets that a registrar holds to be online, for its tests.
#[cfg(test)]
impl Registrar {
    fn live(&self) -> std::collections::HashSet<Key> {
        self.shared.state.lock().live.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;

//! A history while it is written: by the wire, the engine and the faults at once, and read meanwhile by who waits.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use super::{ConnectionId, History, Story, What};

/// How long who waits lets more come before looking again: thousands of frames a second would wake it thousands of times.
const BREATH: Duration = Duration::from_millis(2);

/// Writes one run's history. Times count from its creation.
#[derive(Debug)]
pub struct Recorder {
    began: Instant,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    history: History,
    story: Story,
    connections: u32,
}

impl Default for Recorder {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let history = History::beginning_at(i64::try_from(now.as_millis()).unwrap_or_default());
        let inner = Mutex::new(Inner { history, ..Inner::default() });
        Self { began: Instant::now(), inner, changed: watch::Sender::new(0) }
    }
}

impl Recorder {
    /// Since the run began.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Appends what was just seen.
    pub fn push(&self, what: What) {
        let mut inner = self.lock();
        inner.push(self.now(), what);
        drop(inner);
        self.changed.send_modify(|version| *version += 1);
    }

    /// A new connection of a device.
    pub fn open(&self, [device, user, gateway]: [&str; 3], is_polling: bool) -> ConnectionId {
        let mut inner = self.lock();
        inner.connections += 1;
        let connection = ConnectionId(inner.connections);
        let (device, user, gateway) = (device.to_owned(), user.to_owned(), gateway.to_owned());
        let opened = What::Opened { connection, device, user, gateway, is_polling };
        inner.push(self.now(), opened);
        drop(inner);
        self.changed.send_modify(|version| *version += 1);
        connection
    }

    /// From here on `id` is called `name`.
    pub fn call(&self, id: &str, name: &str) {
        self.lock().history.call(id, name);
    }

    /// Looks at what is known by now.
    pub fn look<T>(&self, look: impl FnOnce(&Story) -> T) -> T {
        look(&self.lock().story)
    }

    /// Waits until `look` finds something, or the deadline: the answer of the last look.
    pub async fn until<T>(
        &self,
        deadline: Instant,
        look: impl Fn(&Story) -> Option<T>,
    ) -> Option<T> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(found) = self.look(&look) {
                return Some(found);
            }
            // An error is the deadline: the sender lives as long as we do.
            if timeout_at(deadline, changed.changed()).await.is_err() {
                return self.look(&look);
            }
            sleep(BREATH).await;
        }
    }

    /// A copy of everything so far.
    pub fn history(&self) -> History {
        self.lock().history.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked here left whole entries behind.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, at: Duration, what: What) {
        self.history.push(at, what);
        if let Some(entry) = self.history.entries().last() {
            self.story.go_on(entry);
        }
    }
}

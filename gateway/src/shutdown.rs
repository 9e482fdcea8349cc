//! How long-lived tasks learn that it is time to stop, and how we wait for them.
//!
//! Whoever spawns a task does it through one of the trackers and says how the task stops.

use std::{sync::Arc, time::Duration};

use tokio::{sync::SetOnce, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Handles on the life of this process. Clones share the same life.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Step 1: take nothing new. Readiness is off, events are refused, sockets are drained.
    pub requested: CancellationToken,
    /// Step 2: everything accepted is acknowledged; background tasks stop.
    pub stopped: CancellationToken,
    /// Events that were taken and are not answered yet. They end by themselves once `requested`.
    pub events: TaskTracker,
    /// Every other task. They end once `stopped`.
    pub tasks: TaskTracker,
    /// The first part of the process that ended although nobody asked for a stop.
    pub broken: Arc<SetOnce<&'static str>>,
}

/// Tells of its own end: see [`Shutdown::watch`].
#[derive(Debug)]
pub struct Watch {
    part: &'static str,
    requested: CancellationToken,
    broken: Arc<SetOnce<&'static str>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.requested.is_cancelled() && self.broken.set(self.part).is_ok() {
            tracing::error!("`{}` ended although nobody asked for a stop", self.part);
        }
    }
}

impl Shutdown {
    /// Spawns a task without which the process is of no use: if it panics, or ends before a stop is requested,
    /// that is noted in `broken`. It must end once `stopped`.
    pub fn spawn_part<T>(
        &self,
        part: &'static str,
        running: impl Future<Output = T> + Send + 'static,
    ) where
        T: Send + 'static,
    {
        let watch = self.watch(part);
        self.tasks.spawn(async move {
            // Dropped at the end, a panic's too.
            let _watch = watch;
            running.await
        });
    }

    /// For what such a task owns: its drop is its end.
    pub fn watch(&self, part: &'static str) -> Watch {
        Watch { part, requested: self.requested.clone(), broken: Arc::clone(&self.broken) }
    }

    /// Waits for every taken event to be answered. Returns whether all were.
    pub async fn wait_for_events(&self, limit: Duration) -> bool {
        self.events.close();
        timeout(limit, self.events.wait()).await.is_ok()
    }

    /// Waits for every background task to finish. Returns whether all did.
    pub async fn wait_for_tasks(&self, limit: Duration) -> bool {
        self.tasks.close();
        timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_or_ends_before_its_time_is_noted() {
        for panics in [true, false] {
            let shutdown = Shutdown::default();
            shutdown.spawn_part("kitchen", async move { assert!(!panics, "on purpose") });
            assert_eq!(*shutdown.broken.wait().await, "kitchen");
        }
    }

    #[tokio::test]
    async fn a_part_that_ends_in_a_stop_is_not() {
        let shutdown = Shutdown::default();
        shutdown.spawn_part("kitchen", shutdown.stopped.clone().cancelled_owned());
        shutdown.requested.cancel();
        shutdown.stopped.cancel();
        assert!(shutdown.wait_for_tasks(Duration::from_secs(10)).await);
        assert_eq!(shutdown.broken.get(), None);
    }
}

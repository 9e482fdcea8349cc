//! How long-lived tasks learn that it is time to stop, and how we wait for them.
//!
//! Whoever spawns a task does it through one of the trackers and says how the task stops.

use std::time::Duration;

use tokio::time::timeout;
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
}

impl Shutdown {
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

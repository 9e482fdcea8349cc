//! How long-lived tasks learn that it is time to stop, and how we wait for them.
//!
//! Whoever spawns a task does it through [`Shutdown::tasks`] and says how the task stops.

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
    /// Every task that was spawned.
    pub tasks: TaskTracker,
}

impl Shutdown {
    /// Waits for every tracked task to finish what it holds. Returns whether all did.
    pub async fn wait(&self, limit: Duration) -> bool {
        self.tasks.close();
        timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

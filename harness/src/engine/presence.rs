//! Watches everybody's presence while a scenario runs, so that it can be judged at every moment.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{observe, world::World};

/// How often it is asked for.
const EVERY: Duration = Duration::from_millis(100);

/// Watches for ever. What cannot be seen is not written.
pub(super) async fn watch(world: &World) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (_, user) in world.actors() {
            drop(observe::presence(world, user).await);
        }
    }
}

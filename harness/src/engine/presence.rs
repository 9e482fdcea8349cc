//! Watches everybody's presence while a scenario runs, so that it can be judged at every moment.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::world::World;
use crate::history::What;

/// How often it is asked for.
const EVERY: Duration = Duration::from_millis(100);

/// Watches for ever; what cannot be seen is not written.
pub(super) async fn watch(world: &World) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (_, user) in world.actors() {
            let path = format!("/users/{user}/presence");
            let began = world.recorder.now();
            let Ok((200, seen)) = world.call(user, "GET", &path, None, None).await else {
                continue;
            };
            let entries = seen["sockets"].as_array().into_iter().flatten();
            let sockets: BTreeSet<String> =
                entries.filter_map(|it| it["socketId"].as_str().map(str::to_owned)).collect();
            // Also what has not changed: it was true until now.
            world.recorder.push(What::Presence { user: user.to_owned(), began, sockets });
        }
    }
}

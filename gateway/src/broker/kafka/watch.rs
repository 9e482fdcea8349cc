//! Looks after a topic that somebody reads: for partitions that were added, and for a log that has begun anew.
//!
//! On a client and a thread of its own. A broker answers the requests of one connection one after the other, and a reader's
//! connection nearly always has a fetch on it that may wait for half a second: asking there for four partitions holds
//! the reader up for two seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, TrySendError},
    },
    thread,
};

use parking_lot::Mutex;

use super::{
    KafkaSettings, client,
    topics::{self, Admin},
};
use crate::broker::BrokerError;

/// Changes that wait for the reader.
const CHANGES_MAX: usize = 2;

/// Where a reader has come to; shared with its watch.
pub(super) type Positions = Arc<Mutex<Position>>;

/// The next offset of each partition that is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    pub(super) next: BTreeMap<i32, i64>,
    /// How often the reader had to begin anew. What was noticed in an earlier generation is no news.
    pub(super) generation: u64,
}

/// What became of a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// These partitions are new.
    Added(Vec<i32>),
    /// It was made anew: these partitions end before what was read of them in this generation.
    BegunAnew { generation: u64, partitions: BTreeSet<i32> },
}

/// Changes as they are noticed; its end ends the thread.
#[derive(Debug)]
pub(super) struct Watch {
    changes: mpsc::Receiver<Change>,
    _stop: mpsc::Sender<()>,
}

impl Watch {
    /// Looks every `settings.topic_refresh` at the topic whose reader has come to `positions`.
    pub(super) fn begin(
        settings: &KafkaSettings,
        topic: &str,
        positions: Positions,
    ) -> Result<Self, BrokerError> {
        let (told, changes) = mpsc::sync_channel(CHANGES_MAX);
        let (stop, stopped) = mpsc::channel();
        let admin = Arc::new(topics::admin(settings)?);
        let (settings, topic) = (settings.clone(), topic.to_owned());
        let mut look = Look { settings, admin, topic, positions };
        thread::Builder::new()
            .name(format!("watch {}", look.topic))
            .spawn(move || {
                while stopped.recv_timeout(look.settings.topic_refresh)
                    == Err(RecvTimeoutError::Timeout)
                {
                    for change in look.changes() {
                        // A reader that is busy is told next time.
                        if let Err(TrySendError::Disconnected(_)) = told.try_send(change) {
                            return;
                        }
                    }
                }
            })
            .map_err(|error| BrokerError::Unavailable(error.to_string()))?;
        Ok(Self { changes, _stop: stop })
    }

    /// What was noticed since the last call.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> {
        self.changes.try_iter()
    }
}

struct Look {
    settings: KafkaSettings,
    admin: Arc<Admin>,
    topic: String,
    positions: Positions,
}

impl Look {
    /// What has changed; nothing while the brokers are away.
    fn changes(&mut self) -> Vec<Change> {
        // Taken first: what is read meanwhile only makes the ends rise.
        let position = self.positions.lock().clone();
        match topics::watermarks(self.admin.inner(), &self.topic) {
            Ok(watermarks) => changes(&position, &watermarks),
            Err(error) => {
                tracing::debug!(%error, "cannot look at {} now: {error}", self.topic);
                // A client that has forgotten its brokers never finds them again.
                if let Ok(admin) = topics::admin(&self.settings) {
                    client::end_apart(std::mem::replace(&mut self.admin, Arc::new(admin)));
                }
                Vec::new()
            }
        }
    }
}

fn changes(position: &Position, watermarks: &BTreeMap<i32, (i64, i64)>) -> Vec<Change> {
    let mut changes = Vec::new();
    let next = &position.next;
    let added: Vec<i32> =
        watermarks.keys().filter(|partition| !next.contains_key(partition)).copied().collect();
    if !added.is_empty() {
        changes.push(Change::Added(added));
    }
    // A partition that is not named proves nothing: a broker that lags behind may not know of it yet.
    let is_anew = |(partition, next): &(&i32, &i64)| {
        watermarks.get(partition).is_some_and(|(_, high)| *next > high)
    };
    let partitions: BTreeSet<i32> =
        next.iter().filter(is_anew).map(|(partition, _)| *partition).collect();
    if !partitions.is_empty() {
        changes.push(Change::BegunAnew { generation: position.generation, partitions });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_partitions_and_a_log_that_ends_too_early_are_changes() {
        let position = Position { next: BTreeMap::from([(0, 7), (1, 0)]), generation: 3 };
        let grown = BTreeMap::from([(0, (0, 9)), (1, (0, 0))]);
        assert_eq!(changes(&position, &grown), []);
        let added = BTreeMap::from([(0, (0, 7)), (1, (0, 0)), (2, (0, 3))]);
        assert_eq!(changes(&position, &added), [Change::Added(vec![2])]);
        let anew = BTreeMap::from([(0, (0, 6)), (1, (0, 0))]);
        let partitions = BTreeSet::from([0]);
        assert_eq!(changes(&position, &anew), [Change::BegunAnew { generation: 3, partitions }]);
        let fewer = BTreeMap::from([(0, (0, 9))]);
        assert_eq!(changes(&position, &fewer), []);
    }
}

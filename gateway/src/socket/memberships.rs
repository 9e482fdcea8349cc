//! Membership changes to the sockets that they concern, and out of the memory of `authorise`.

use std::time::Duration;

use tokio::time::sleep;

use super::{edge::Edge, rooms::Rooms};
use crate::{
    authorise::Authoriser,
    broker::{Tail, TailEvent},
    chat::{Change, RoomId, UserId},
    protocol::records::decode_membership,
    store::StoreError,
};

/// Between two questions to a database that is away.
const RETRY: Duration = Duration::from_millis(200);

/// How long the closing of all sockets is spread out after a gap in the log.
const GAP_CLOSE: Duration = Duration::from_secs(10);

/// Applies membership changes. Clones share everything.
#[derive(Clone, Debug)]
pub struct Memberships {
    authoriser: Authoriser,
    rooms: Rooms,
}

impl Memberships {
    pub(super) fn new(authoriser: Authoriser, rooms: Rooms) -> Self {
        Self { authoriser, rooms }
    }

    /// Takes the user's sockets out of the room if the user is not a member any more.
    pub async fn apply(&self, room: RoomId, user: UserId) -> Result<(), StoreError> {
        self.authoriser.recheck(room, user, || self.rooms.expel(room, user)).await
    }
}

/// Reads to the end of the process.
pub(super) async fn run(memberships: Memberships, mut changes: Box<dyn Tail>, edge: Edge) {
    loop {
        match changes.next().await {
            TailEvent::Records(records) => {
                let mut pairs = Vec::with_capacity(records.len());
                for record in records {
                    match decode_membership(record.value.as_deref()) {
                        // Refusals are never remembered, so who has joined needs nothing.
                        Ok(change) if change.change == Change::Joined => {}
                        Ok(change) => {
                            let pair = (change.room_id, change.user_id);
                            // At once, before the database is asked about any of them.
                            memberships.authoriser.forget(pair.0, pair.1);
                            pairs.push(pair);
                        }
                        Err(error) => tracing::error!(
                            %error,
                            kafka.partition = record.partition,
                            kafka.offset = record.offset,
                            "skipped a membership record that is not one: {error}"
                        ),
                    }
                }
                for (room, user) in pairs {
                    apply_until_done(&memberships, room, user).await;
                }
            }
            TailEvent::Gap { partition } => {
                tracing::error!(
                    kafka.partition = partition,
                    "membership changes of partition {partition} are lost: closing the sockets, so that they join anew"
                );
                memberships.authoriser.forget_all();
                edge.close_all_apart(GAP_CLOSE);
            }
        }
    }
}

async fn apply_until_done(memberships: &Memberships, room: RoomId, user: UserId) {
    let mut is_first = true;
    while let Err(error) = memberships.apply(room, user).await {
        if std::mem::take(&mut is_first) {
            tracing::warn!(%error, room.id = %room, "a membership change waits for the database: {error}");
        }
        sleep(RETRY).await;
    }
}

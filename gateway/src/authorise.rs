//! Who may do what. The only module that can make a [`Permitted`].
//!
//! Memberships come from the database; for messages they are remembered for a few seconds and forgotten at
//! once when a membership record says so. A refusal is never remembered: who has just joined may speak.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _, sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

use crate::{
    chat::{Draft, RoomId, UserId},
    store::{Store, StoreError},
};

/// How many (room, user) pairs can be worked on at a time; a power of two.
const STRIPES: usize = 1_024;

/// How long a socket may wait to enter while others of its stripe wait for the database.
const STRIPE_LIMIT: Duration = Duration::from_secs(3);

/// A `T` this user is allowed to act on.
///
/// Its fields are private, so a function that asks for a `Permitted<T>` can only be reached through a check
/// in this module.
#[derive(Debug)]
pub struct Permitted<T> {
    user: UserId,
    inner: T,
}

impl<T> Permitted<T> {
    pub fn user(&self) -> UserId {
        self.user
    }

    pub fn get(&self) -> &T {
        &self.inner
    }
}

/// Why something is not permitted.
#[derive(Debug, thiserror::Error)]
pub enum AuthoriseError {
    #[error("not a member of this room")]
    NotAMember,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The right to put a socket of this user into this room, as long as it is held: nobody reads or applies
/// a change of this membership meanwhile.
#[derive(Debug)]
pub struct Entry {
    pub room_id: RoomId,
    pub user_id: UserId,
    _stripe: OwnedMutexGuard<()>,
}

/// Answers from the database, and from memory where that is safe. Clones share the memory.
#[derive(Clone, Debug)]
pub struct Authoriser {
    store: Arc<dyn Store>,
    members: Cache<(RoomId, UserId), ()>,
    stripes: Arc<[Arc<Mutex<()>>]>,
    hasher: RandomState,
}

impl Authoriser {
    /// `ttl`: how long a membership is trusted; `entries_max`: how many are remembered.
    pub fn new(store: Arc<dyn Store>, ttl: Duration, entries_max: u64) -> Self {
        let members = Cache::builder().max_capacity(entries_max).time_to_live(ttl).build();
        let stripes = (0..STRIPES).map(|_| Arc::default()).collect();
        Self { store, members, stripes, hasher: RandomState::new() }
    }

    /// Whether `user` may post `draft` in its room.
    pub async fn may_post(
        &self,
        user: UserId,
        draft: Draft,
    ) -> Result<Permitted<Draft>, AuthoriseError> {
        let key = (draft.room_id, user);
        if self.members.get(&key).is_none() {
            // Under the stripe: a fill must not outlive the record that takes the membership away.
            let _stripe = self.stripe(key).await;
            if !self.store.is_member(draft.room_id, user).await? {
                return Err(AuthoriseError::NotAMember);
            }
            self.members.insert(key, ());
        }
        Ok(Permitted { user, inner: draft })
    }

    /// Whether `user` is in the room now, by the database; nothing is remembered.
    pub async fn may_read(&self, user: UserId, room: RoomId) -> Result<(), AuthoriseError> {
        if self.store.is_member(room, user).await? {
            Ok(())
        } else {
            Err(AuthoriseError::NotAMember)
        }
    }

    /// Whether a socket of `user` may enter the room. The membership stands still while the answer is held.
    pub async fn may_enter(&self, user: UserId, room: RoomId) -> Result<Entry, AuthoriseError> {
        let stripe = timeout(STRIPE_LIMIT, self.stripe((room, user))).await.map_err(|_| {
            StoreError::timed_out("others have waited for the database as long as anybody may")
        })?;
        if !self.store.is_member(room, user).await? {
            return Err(AuthoriseError::NotAMember);
        }
        Ok(Entry { room_id: room, user_id: user, _stripe: stripe })
    }

    /// Forgets what is remembered of a membership. Takes no lock and asks nobody.
    pub fn forget(&self, room: RoomId, user: UserId) {
        self.members.invalidate(&(room, user));
    }

    /// Forgets every membership: changes of them may have been missed.
    pub fn forget_all(&self) {
        self.members.invalidate_all();
    }

    /// Forgets a membership, reads it anew, and runs `expel` if it is gone, all while it stands still.
    ///
    /// A record of a change is a hint: one that comes late never throws out a user who has joined again.
    pub async fn recheck(
        &self,
        room: RoomId,
        user: UserId,
        expel: impl FnOnce(),
    ) -> Result<(), StoreError> {
        let _stripe = self.stripe((room, user)).await;
        self.forget(room, user);
        if !self.store.is_member(room, user).await? {
            expel();
        }
        Ok(())
    }

    async fn stripe(&self, key: (RoomId, UserId)) -> OwnedMutexGuard<()> {
        let hash = self.hasher.hash_one(key);
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits are used")]
        let index = hash as usize & (STRIPES - 1);
        Arc::clone(&self.stripes[index]).lock_owned().await
    }
}

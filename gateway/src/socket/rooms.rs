//! Which socket hears which room, and what each room has heard.
//!
//! Rooms are kept here and not in the library: entering and leaving must be exact against disconnects,
//! and a walk over a room must not hold up every other room.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use parking_lot::Mutex;
use socketioxide::{SendError, SocketError, extract::SocketRef};
use tokio_util::sync::CancellationToken;

use super::transports::Transports;
use crate::{
    chat::{Message, MessageId, RoomId, SocketId, User, UserId},
    handlers::join_room::Admission,
    protocol::acks::{MessageBody, NEW_MESSAGE},
};

/// A socket of an authenticated user.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: SocketId,
    pub(super) user: User,
    pub(super) socket: SocketRef,
    /// Cancelled when the socket is gone, or is being closed because it does not read.
    pub(super) gone: CancellationToken,
    /// The rooms that it hears; `None` once it is gone.
    rooms: Mutex<Option<HashSet<RoomId>>>,
}

impl Member {
    pub(super) fn new(id: SocketId, user: User, socket: SocketRef) -> Self {
        Self {
            id,
            user,
            socket,
            gone: CancellationToken::new(),
            rooms: Mutex::new(Some(HashSet::new())),
        }
    }

    pub(super) fn hears(&self, room: RoomId) -> bool {
        self.rooms.lock().as_ref().is_some_and(|rooms| rooms.contains(&room))
    }
}

/// The sockets of one room on this gateway.
#[derive(Debug, Default)]
struct Room {
    members: Vec<Arc<Member>>,
    /// The newest message stored when the first of them came.
    floor: Option<MessageId>,
    /// The newest message broadcast here, by partition. (A room has one partition, until partitions are added.)
    heard: HashMap<i32, MessageId>,
    /// Nobody is here any more and it is out of the map.
    is_closed: bool,
}

/// All rooms with sockets on this gateway. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    rooms: Arc<Mutex<HashMap<RoomId, Arc<Mutex<Room>>>>>,
    transports: Transports,
}

impl Rooms {
    pub(super) fn new(transports: Transports) -> Self {
        Self { rooms: Arc::default(), transports }
    }

    /// Lets the socket hear the room. Returns `false` if the socket is gone.
    pub(super) fn enter(&self, member: &Arc<Member>, admission: &Admission) -> bool {
        let room_id = admission.entry.room_id;
        // Held to the end: a disconnect finds the socket in the room or finds `enter` refused.
        let mut own = member.rooms.lock();
        let Some(own) = own.as_mut() else { return false };
        if !own.insert(room_id) {
            return true;
        }
        loop {
            let room = Arc::clone(self.rooms.lock().entry(room_id).or_default());
            let mut room = room.lock();
            if room.is_closed {
                continue; // The last one left between the two locks.
            }
            if room.members.is_empty() {
                room.floor = admission.newest;
            }
            room.members.push(Arc::clone(member));
            return true;
        }
    }

    /// The socket no longer hears the room.
    pub(super) fn leave(&self, member: &Member, room_id: RoomId) {
        if let Some(own) = member.rooms.lock().as_mut() {
            own.remove(&room_id);
        }
        self.remove(room_id, |other| other.id == member.id);
    }

    /// The socket is gone: it hears nothing any more and never will.
    pub(super) fn leave_all(&self, member: &Member) {
        let own = member.rooms.lock().take();
        for room_id in own.into_iter().flatten() {
            self.remove(room_id, |other| other.id == member.id);
        }
    }

    /// No socket of the user hears the room any more.
    pub(super) fn expel(&self, room_id: RoomId, user: UserId) {
        for member in self.remove(room_id, |member| member.user.id == user) {
            if let Some(own) = member.rooms.lock().as_mut() {
                own.remove(&room_id);
            }
        }
    }

    /// Emits the message to every socket in the room, unless the room has heard it or newer ones.
    /// A socket that cannot take it is closed, never skipped. Returns how many were sent to.
    pub(super) fn broadcast(&self, partition: i32, message: &Message) -> usize {
        let Some(room) = self.rooms.lock().get(&message.room_id).cloned() else { return 0 };
        let mut room = room.lock();
        let Room { members, floor, heard, .. } = &mut *room;
        let newest = heard.get(&partition).copied().max(*floor);
        if newest.is_some_and(|newest| message.id <= newest) {
            metrics::counter!("broadcast_repeats_total").increment(1);
            return 0;
        }
        heard.insert(partition, message.id);
        let body = MessageBody::from(message);
        for member in members.iter().filter(|member| !member.gone.is_cancelled()) {
            if let Err(error) = member.socket.emit(NEW_MESSAGE, &body) {
                self.emit_failed(member, &error);
            }
        }
        members.len()
    }

    /// Closes a socket whose queue is full, so that it comes back and catches up.
    pub(super) fn emit_failed(&self, member: &Member, error: &SendError) {
        match error {
            SendError::Socket(SocketError::InternalChannelFull) => {
                if !member.gone.is_cancelled() {
                    member.gone.cancel();
                    metrics::counter!("sockets_closed_slow_total").increment(1);
                    tracing::warn!(socket.id = %member.id, "closed a socket that does not read: {}", member.id);
                    self.transports.kill(&member.id.0);
                }
            }
            SendError::Socket(SocketError::Closed) => {}
            SendError::Serialize(error) => {
                tracing::error!(%error, socket.id = %member.id, "cannot encode for {}: {error}", member.id);
                self.transports.kill(&member.id.0);
            }
        }
    }

    /// Takes members out, and the room away when it is empty. Returns who was taken out.
    fn remove(&self, room_id: RoomId, is_leaving: impl Fn(&Member) -> bool) -> Vec<Arc<Member>> {
        let Some(room) = self.rooms.lock().get(&room_id).cloned() else { return Vec::new() };
        let (left, is_closed) = {
            let mut room = room.lock();
            let (left, staying) = room.members.drain(..).partition(|member| is_leaving(member));
            room.members = staying;
            room.is_closed = room.members.is_empty();
            (left, room.is_closed)
        };
        if is_closed
            && let Entry::Occupied(entry) = self.rooms.lock().entry(room_id)
            && Arc::ptr_eq(entry.get(), &room)
        {
            entry.remove();
        }
        left
    }
}

//! The Socket.IO edge: transports, authentication, mailboxes, rooms, broadcast. The only place that knows socketioxide.
//!
//! Owns every socket of this process. Refuses to decide anything about the chat: that is `handlers`' and
//! `authorise`'s.

mod broadcast;
mod connect;
mod connection;
mod edge;
mod event_names;
mod listen;
mod mailbox;
mod memberships;
mod rooms;
mod session_ids;
mod transports;

pub use connection::Peer;
pub use edge::Edge;
pub use listen::{Listening, listen};

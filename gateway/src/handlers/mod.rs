//! One file per client event. A handler never sees a socket or an ack and never emits: it returns.

pub mod heartbeat;
pub mod join_room;
pub mod leave_room;
pub mod send_message;

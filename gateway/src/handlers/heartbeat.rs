//! `heartbeat`: a client says that it is still there; its presence entry is refreshed or made anew.

use crate::{
    chat::{SocketId, UserId},
    state::AppState,
};

/// Never waits and never fails: presence heals by itself.
pub fn heartbeat(state: &AppState, user: UserId, socket: &SocketId) {
    state.registrar.heartbeat(user, socket);
}

//! Ends the transport of a socket from outside, whichever transport it is.
//!
//! A JavaScript client comes back after its transport closes, never after a Socket.IO disconnect. The library
//! has no call for that, so a WebSocket is ended at its TCP connection and polling by the Engine.IO close packet
//! that the client itself would post.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use parking_lot::Mutex;
use socketioxide::service::SocketIoService;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::connection::{Control, Peer};

/// How long a peer may take to read what is queued once its transport is being closed.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Socket.IO over HTTP, as a service.
pub(super) type Service = SocketIoService<Router>;

/// The TCP connections of the WebSockets of this process, by the id of their session.
#[derive(Clone)]
pub(super) struct Transports {
    websockets: Arc<Mutex<HashMap<String, Weak<Control>>>>,
    service: Service,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Transports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transports").finish_non_exhaustive()
    }
}

impl Transports {
    pub(super) fn new(service: Service, tasks: TaskTracker) -> Self {
        Self { websockets: Arc::default(), service, tasks }
    }

    /// Notes that the session `sid` began as a WebSocket on this connection, unless it has upgraded to another.
    pub(super) fn note_first(&self, sid: &str, peer: &Peer) {
        let mut websockets = self.websockets.lock();
        websockets.entry(sid.to_owned()).or_insert_with(|| Arc::downgrade(&peer.control));
    }

    /// Notes that the session `sid` is upgrading to a WebSocket on this connection.
    pub(super) fn note_upgrade(&self, sid: &str, peer: &Peer) {
        self.websockets.lock().insert(sid.to_owned(), Arc::downgrade(&peer.control));
    }

    /// Forgets connections that are gone.
    pub(super) fn prune(&self) {
        self.websockets.lock().retain(|_, control| control.strong_count() > 0);
    }

    fn websocket(&self, sid: &str) -> Option<Arc<Control>> {
        self.websockets.lock().get(sid).and_then(Weak::upgrade)
    }

    /// Closes the transport; what is queued is written first, for a short while.
    pub(super) fn close(&self, sid: &str) {
        self.close_polling(sid);
        let Some(control) = self.websocket(sid) else { return };
        control.close();
        // Ends by itself after the grace.
        self.tasks.spawn(async move {
            sleep(CLOSE_GRACE).await;
            control.kill();
        });
    }

    /// Ends the transport at once: its peer does not take what it is sent.
    pub(super) fn kill(&self, sid: &str) {
        self.close_polling(sid);
        if let Some(control) = self.websocket(sid) {
            control.kill();
        }
    }

    /// Posts the close packet. A session that has upgraded to WebSocket refuses it, which is right.
    fn close_polling(&self, sid: &str) {
        let uri = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        let request = Request::post(uri).body(Body::from("1"));
        let service = self.service.clone();
        // Ends when the session has taken the packet.
        self.tasks.spawn(async move {
            match request {
                Ok(request) => match service.oneshot(request).await {
                    Ok(_) => {}
                    Err(never) => match never {},
                },
                Err(error) => tracing::error!(%error, "cannot close a session: {error}"),
            }
        });
    }
}

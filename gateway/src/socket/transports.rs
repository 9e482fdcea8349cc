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

/// Connections that one session may have tried to upgrade to at a time.
const ATTEMPTS_MAX: usize = 4;

/// Socket.IO over HTTP, as a service.
pub(super) type Service = SocketIoService<Router>;

/// The TCP connections of the WebSockets of this process, by the id of their session.
#[derive(Clone)]
pub(super) struct Transports {
    websockets: Arc<Mutex<HashMap<String, Vec<Weak<Control>>>>>,
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

    /// Notes that the session `sid` began as a WebSocket on this connection, or tries to upgrade to it: an attempt may
    /// fail and another one succeed, so all of them are kept. `false`: these are too many.
    pub(super) fn note(&self, sid: &str, peer: &Peer) -> bool {
        let mut websockets = self.websockets.lock();
        let known = websockets.entry(sid.to_owned()).or_default();
        known.retain(|control| control.strong_count() > 0);
        let is_known = known.iter().any(|it| std::ptr::eq(it.as_ptr(), Arc::as_ptr(&peer.control)));
        if !is_known && known.len() >= ATTEMPTS_MAX {
            return false;
        }
        if !is_known {
            known.push(Arc::downgrade(&peer.control));
        }
        true
    }

    /// Forgets connections that are gone.
    pub(super) fn prune(&self) {
        self.websockets.lock().retain(|_, known| known.iter().any(|it| it.strong_count() > 0));
    }

    fn websockets(&self, sid: &str) -> Vec<Arc<Control>> {
        self.websockets.lock().get(sid).into_iter().flatten().filter_map(Weak::upgrade).collect()
    }

    /// Closes the transport; what is queued is written first, for a short while.
    pub(super) fn close(&self, sid: &str) {
        self.close_polling(sid);
        for control in self.websockets(sid) {
            control.close();
            // Ends by itself after the grace.
            self.tasks.spawn(async move {
                sleep(CLOSE_GRACE).await;
                control.kill();
            });
        }
    }

    /// Ends the transport at once: its peer does not take what it is sent.
    pub(super) fn kill(&self, sid: &str) {
        self.close_polling(sid);
        for control in self.websockets(sid) {
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

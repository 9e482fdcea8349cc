//! A client connects to the namespace: authentication, registration, and the end of both.
//!
//! Events are registered before the client is told that it is connected, so that its first event finds its
//! handler. Everything else is registered after, so that a connect that fails half-way leaves nothing behind.

use std::{collections::hash_map::Entry, convert::Infallible, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::value::RawValue;
use socketioxide::{
    SocketIo, TransportType,
    extract::{SocketRef, TryData},
    handler::ConnectHandler as _,
    socket::DisconnectReason,
};
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    connection::Peer,
    edge::{Dismissal, Edge},
    mailbox::{self, Mailbox, Worker},
    rooms::Member,
};
use crate::{
    authenticate::{TokenError, bearer},
    chat::{SocketId, User},
    protocol::events::Payload,
};

/// How long a client has to take its goodbye before its transport is closed.
const GOODBYE_GRACE: Duration = Duration::from_millis(300);

/// What the middleware found out, until the connect handler takes it.
#[derive(Clone)]
struct Welcome(Arc<Mutex<Option<(User, Mailbox)>>>);

/// Registers the namespace `/`.
pub(super) fn register(io: &SocketIo, edge: &Edge) {
    let (before, after) = (edge.clone(), edge.clone());
    let authenticate = async move |socket: SocketRef, TryData(auth): TryData<Box<RawValue>>| {
        welcome(&before, &socket, auth.ok().as_deref());
        Ok::<(), Infallible>(())
    };
    let connected = async move |socket: SocketRef| connected(&after, socket);
    io.ns("/", connected.with(authenticate));
}

/// Checks the token and, if it is good, opens the mailbox.
fn welcome(edge: &Edge, socket: &SocketRef, auth: Option<&RawValue>) {
    match authenticate(edge, socket, auth) {
        Ok(user) => {
            let (transports, sid) = (edge.transports.clone(), socket.id.to_string());
            let kill = move || transports.kill(&sid);
            let mailbox = mailbox::open(socket, &edge.state, edge.mailbox_events_max, kill);
            socket.extensions.insert(Welcome(Arc::new(Mutex::new(Some((user, mailbox))))));
        }
        Err(error) => {
            metrics::counter!("connects_total", "outcome" => "refused").increment(1);
            let address = client_address(edge, socket);
            tracing::debug!(
                socket.id = %socket.id,
                client.address = address,
                "refused {} from {address}: {error}",
                socket.id
            );
        }
    }
}

/// `auth.token` (bare) wins; the header counts only when that is absent or empty.
fn authenticate(
    edge: &Edge,
    socket: &SocketRef,
    auth: Option<&RawValue>,
) -> Result<User, TokenError> {
    // What is not a string is a failure, also when the header has a good one.
    let token = Payload::new(auth).token().map_err(|_| TokenError::Missing)?;
    if !token.is_empty() {
        return edge.state.authenticator.authenticate(&token);
    }
    let headers = &socket.req_parts().headers;
    let header = headers.get(http::header::AUTHORIZATION).ok_or(TokenError::Missing)?;
    let header = header.to_str().map_err(|_| TokenError::Missing)?;
    edge.state.authenticator.authenticate(bearer(header))
}

/// The client has been told that it is connected; one without a good token is told goodbye.
fn connected(edge: &Edge, socket: SocketRef) {
    if socket.transport_type() == TransportType::Websocket
        && let Some(peer) = socket.req_parts().extensions.get::<Peer>()
    {
        // Its only connection, so there is room for it.
        edge.transports.note(&socket.id.to_string(), peer);
    }
    let welcome = socket.extensions.remove::<Welcome>().and_then(|welcome| welcome.0.lock().take());
    let Some((user, mailbox)) = welcome else {
        turn_away(edge, socket);
        return;
    };
    let member = Arc::new(Member::new(SocketId(socket.id.to_string()), user, socket.clone()));
    // Back in time: it is as if it had never said goodbye.
    edge.dismissed.lock().remove(&member.id.0);
    // Weak: the socket keeps the closure, the member keeps the socket.
    let (leaving, leaving_edge) = (Arc::downgrade(&member), edge.clone());
    socket.on_disconnect(async move |reason: DisconnectReason| {
        if let Some(member) = leaving.upgrade() {
            disconnected(&leaving_edge, &member, reason);
        }
    });
    metrics::counter!("connects_total", "outcome" => "accepted").increment(1);
    let address = client_address(edge, &member.socket);
    tracing::debug!(
        socket.id = %member.id,
        user.id = %member.user.id,
        client.address = address,
        "connected {} from {address}",
        member.id
    );
    edge.add(&member);
    if edge.state.shutdown.requested.is_cancelled() {
        // It came after the drain had counted the sockets.
        edge.transports.close(&member.id.0);
    }
    let in_flight = Arc::new(Semaphore::new(edge.mailbox_events_max));
    let (state, rooms) = (edge.state.clone(), edge.rooms.clone());
    let worker = Worker { state, rooms, member, in_flight };
    // Ends when the socket is gone or the process drains.
    edge.state.shutdown.events.spawn(mailbox::run(worker, mailbox));
}

/// Says goodbye. One that tries again on the same transport is not worth keeping: it still hears its second goodbye, and a
/// third one is not waited for.
fn turn_away(edge: &Edge, socket: SocketRef) {
    let sid = socket.id.to_string();
    if socket.disconnect().is_err() {
        return edge.transports.kill(&sid);
    }
    reap(edge, &sid);
    let refusals = edge.dismissed.lock().get_mut(&sid).map_or(1, |dismissal| {
        dismissal.refusals += 1;
        dismissal.refusals
    });
    match refusals {
        1 => {}
        2 => {
            let edge = edge.clone();
            // Ends after the grace.
            edge.state.shutdown.tasks.clone().spawn(async move {
                sleep(GOODBYE_GRACE).await;
                close_unless_back(&edge, sid);
            });
        }
        _ => edge.transports.kill(&sid),
    }
}

fn disconnected(edge: &Edge, member: &Arc<Member>, reason: DisconnectReason) {
    metrics::counter!("disconnects_total", "reason" => word(reason)).increment(1);
    edge.remove(member);
    if matches!(reason, DisconnectReason::ClientNSDisconnect | DisconnectReason::ServerNSDisconnect)
    {
        reap(edge, &member.id.0);
    }
}

/// Where the client is: behind a proxy what that says, else the other end of the connection.
fn client_address(edge: &Edge, socket: &SocketRef) -> String {
    let parts = socket.req_parts();
    let header = edge.client_address_header.as_ref().and_then(|name| parts.headers.get(name));
    match header.and_then(|value| value.to_str().ok()) {
        Some(address) => address.to_owned(),
        None => parts.extensions.get::<Peer>().map_or_else(String::new, |p| p.address.to_string()),
    }
}

/// Closes the transport after the connect timeout unless it is in the namespace again by then.
///
/// Not at once: some clients would take that for an accident and come back in a loop.
pub(super) fn reap(edge: &Edge, sid: &str) {
    let is_back = CancellationToken::new();
    match edge.dismissed.lock().entry(sid.to_owned()) {
        Entry::Occupied(_) => return,
        Entry::Vacant(entry) => {
            let closing = is_back.clone().drop_guard();
            entry.insert(Dismissal { refusals: 0, _closing: closing })
        }
    };
    let (edge, sid) = (edge.clone(), sid.to_owned());
    let timeout: Duration = edge.connect_timeout;
    // Ends after the timeout, when the client is back, or with the process.
    edge.state.shutdown.tasks.clone().spawn(async move {
        tokio::select! {
            () = sleep(timeout) => {}
            () = edge.state.shutdown.stopped.cancelled() => {}
            () = is_back.cancelled() => return,
        }
        {
            let mut dismissed = edge.dismissed.lock();
            if is_back.is_cancelled() {
                return;
            }
            dismissed.remove(&sid);
        }
        close_unless_back(&edge, sid);
    });
}

/// Closes the transport unless its client is in the namespace again.
fn close_unless_back(edge: &Edge, sid: String) {
    let id = SocketId(sid);
    if !edge.members.lock().contains_key(&id) {
        edge.transports.close(&id.0);
    }
}

fn word(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::TransportClose => "transport_close",
        DisconnectReason::MultipleHttpPollingError => "multiple_polls",
        DisconnectReason::PacketParsingError => "malformed_packet",
        DisconnectReason::TransportError => "transport_error",
        DisconnectReason::HeartbeatTimeout => "ping_timeout",
        DisconnectReason::ClientNSDisconnect => "client",
        DisconnectReason::ServerNSDisconnect => "server",
        DisconnectReason::ClosingServer => "closing",
    }
}

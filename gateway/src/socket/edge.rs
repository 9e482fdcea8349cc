//! The whole edge of one gateway: built once, drained once.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use chrono::Utc;
use http::{HeaderName, Method, StatusCode, header::RETRY_AFTER};
use parking_lot::Mutex;
use socketioxide::{SocketIo, TransportType};
use tokio::{
    sync::Semaphore,
    time::{Instant, interval, sleep, timeout},
};

use tokio_util::sync::DropGuard;

use super::{
    broadcast, connect,
    connection::Peer,
    event_names::defuse_body,
    memberships::{self, Memberships},
    rooms::{Member, Rooms},
    session_ids::{SessionIds, unseal},
    transports::Transports,
};
use crate::{broker::Tail, chat::SocketId, config::Sockets, state::AppState};

/// A session that has left the namespace.
#[derive(Debug)]
pub(super) struct Dismissal {
    /// Bad tokens that it has shown since.
    pub(super) refusals: usize,
    /// Its end calls off the closing of the transport.
    pub(super) _closing: DropGuard,
}

/// How long a client may take to send the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// In a drain: how often a batch of sockets is closed.
const CLOSE_TICK: Duration = Duration::from_millis(100);

/// In a drain: smallest batch that is closed at a time.
const CLOSE_BATCH_MIN: usize = 500;

/// In a drain: how long a long-polling client is given to fetch its last acks.
const POLLING_GRACE: Duration = Duration::from_millis(300);

/// What the library says to a request for a session that it does not have.
const UNKNOWN_SESSION: &str = r#"{"code":"1","message":"Session ID unknown"}"#;

/// Every socket of this process, and what they hear. Clones share it.
#[derive(Clone, Debug)]
pub struct Edge {
    pub(super) state: AppState,
    pub(super) rooms: Rooms,
    pub(super) transports: Transports,
    pub(super) members: Arc<Mutex<HashMap<SocketId, Arc<Member>>>>,
    pub(super) mailbox_events_max: usize,
    pub(super) connect_timeout: Duration,
    payload_bytes_max: usize,
    /// Places for sessions: a polling one holds no connection between its requests.
    sessions: Arc<Semaphore>,
    session_ids: Arc<SessionIds>,
    /// Sessions that have left the namespace and are not closed yet.
    pub(super) dismissed: Arc<Mutex<HashMap<String, Dismissal>>>,
    /// Names the client's address behind a proxy.
    pub(super) client_address_header: Option<HeaderName>,
    memberships: Memberships,
    io: SocketIo,
}

impl Edge {
    /// The edge, and the routes that lead to it.
    pub fn new(
        state: AppState,
        settings: &Sockets,
        client_address_header: Option<HeaderName>,
    ) -> (Self, Router) {
        let (service, io) = SocketIo::builder()
            .ping_interval(settings.ping_interval)
            .ping_timeout(settings.ping_timeout)
            .connect_timeout(settings.connect_timeout)
            .upgrade_timeout(settings.upgrade_timeout)
            .max_buffer_size(settings.queue_packets_max)
            .max_payload(settings.payload_bytes_max as u64)
            .ws_max_message_size(settings.payload_bytes_max)
            .ws_max_frame_size(settings.payload_bytes_max)
            .build_with_inner_svc(Router::new());
        let transports = Transports::new(service.clone(), state.shutdown.tasks.clone());
        let rooms = Rooms::new(transports.clone());
        let edge = Self {
            memberships: Memberships::new(state.authoriser.clone(), rooms.clone()),
            rooms,
            transports,
            members: Arc::default(),
            mailbox_events_max: settings.mailbox_events_max,
            connect_timeout: settings.connect_timeout,
            payload_bytes_max: settings.payload_bytes_max,
            sessions: Arc::new(Semaphore::new(settings.connections_max)),
            session_ids: Arc::new(SessionIds::new()),
            dismissed: Arc::default(),
            client_address_header,
            io: io.clone(),
            state,
        };
        connect::register(&io, &edge);
        let router = Router::new()
            .route_service("/socket.io", service.clone())
            .route_service("/socket.io/", service)
            .layer(middleware::from_fn_with_state(edge.clone(), guard));
        (edge, router)
    }

    /// Starts what carries records to the sockets. Both must be positioned already.
    pub fn spawn(&self, persisted: Box<dyn Tail>, changes: Box<dyn Tail>, sweep: Duration) {
        let Self { state, .. } = self;
        let (tasks, stopped) = (&state.shutdown.tasks, &state.shutdown.stopped);
        // Each ends once `stopped`.
        let broadcasting = broadcast::run(self.clone(), persisted);
        tasks.spawn(stopped.clone().run_until_cancelled_owned(broadcasting));
        let applying = memberships::run(self.memberships.clone(), changes, self.clone());
        tasks.spawn(stopped.clone().run_until_cancelled_owned(applying));
        tasks.spawn(stopped.clone().run_until_cancelled_owned(self.clone().sweep(sweep)));
    }

    /// Applies a membership change of this process's own before its record comes round.
    pub fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    /// Closes every transport, spread over `limit`, so that the clients do not all come back at once.
    pub async fn close_all(&self, limit: Duration) {
        let members: Vec<_> = self.members.lock().values().cloned().collect();
        let (polling, websockets): (Vec<_>, Vec<_>) = members
            .into_iter()
            .partition(|member| member.socket.transport_type() == TransportType::Polling);
        if !polling.is_empty() {
            sleep(POLLING_GRACE.min(limit)).await;
        }
        let ordered: Vec<_> = websockets.into_iter().chain(polling).collect();
        let ticks =
            usize::try_from(limit.as_millis() / CLOSE_TICK.as_millis()).unwrap_or(usize::MAX);
        let batch = CLOSE_BATCH_MIN.max(ordered.len().div_ceil(ticks.max(1)));
        let mut tick = interval(CLOSE_TICK);
        for members in ordered.chunks(batch) {
            tick.tick().await;
            for member in members {
                self.transports.close(&member.id.0);
            }
        }
    }

    /// Starts closing every transport, for who must not wait for it.
    pub(super) fn close_all_apart(&self, limit: Duration) {
        let edge = self.clone();
        // Ends within `limit` or with the process.
        let stopped = self.state.shutdown.stopped.clone();
        let closing = async move { edge.close_all(limit).await };
        self.state.shutdown.tasks.spawn(stopped.run_until_cancelled_owned(closing));
    }

    /// Takes the sockets off: closes them within `limit`, and ends those that do not go.
    pub async fn drain(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        if timeout(limit, self.close_all(limit / 2)).await.is_err() {
            tracing::warn!("could not close every socket in time");
        }
        while !self.members.lock().is_empty() && Instant::now() < deadline {
            sleep(CLOSE_TICK / 10).await;
        }
        let left: Vec<_> = self.members.lock().values().cloned().collect();
        if !left.is_empty() {
            tracing::warn!("ended {} sockets that did not read", left.len());
        }
        for member in left {
            self.transports.kill(&member.id.0);
            self.remove(&member);
        }
    }

    /// A socket is in the namespace. One that had the same id ends: the client connected anew on its transport.
    pub(super) fn add(&self, member: &Arc<Member>) {
        let before = self.members.lock().insert(member.id.clone(), Arc::clone(member));
        if let Some(before) = before {
            self.end(&before);
        }
        metrics::gauge!("sockets").increment(1);
        self.state.registrar.connected(member.user.id, member.id.clone(), Utc::now());
    }

    /// A socket is gone. Nothing happens if it was gone before.
    pub(super) fn remove(&self, member: &Arc<Member>) {
        if let Entry::Occupied(entry) = self.members.lock().entry(member.id.clone())
            && Arc::ptr_eq(entry.get(), member)
        {
            entry.remove();
        } else {
            return;
        }
        self.end(member);
    }

    fn end(&self, member: &Member) {
        member.gone.cancel();
        self.rooms.leave_all(member);
        self.state.registrar.disconnected(member.user.id, &member.id);
        metrics::gauge!("sockets").decrement(1);
    }

    /// Removes sockets whose disconnect the library did not report: one that ends in the very moment of
    /// its connect has no handler yet.
    async fn sweep(self, every: Duration) {
        loop {
            sleep(every).await;
            let members: Vec<_> = self.members.lock().values().cloned().collect();
            for member in members {
                if self.io.get_socket(member.socket.id).is_none() {
                    self.remove(&member);
                    // It may be its client alone that has left.
                    connect::reap(&self, &member.id.0);
                }
            }
            self.transports.prune();
        }
    }
}

/// The same packets, with names that the library can read. A body that is too long or broken off is refused as it would.
async fn defused(request: Request, bytes_max: usize) -> Result<Request, StatusCode> {
    let (parts, body) = request.into_parts();
    let body = timeout(BODY_TIMEOUT, to_bytes(body, bytes_max)).await;
    let body = body.map_err(|_| StatusCode::REQUEST_TIMEOUT)?.map_err(|error| {
        tracing::debug!(%error, "refused a body: {error}");
        StatusCode::PAYLOAD_TOO_LARGE
    })?;
    let mut bytes = body.to_vec();
    defuse_body(&mut bytes);
    Ok(Request::from_parts(parts, bytes.into()))
}

/// What every request of Socket.IO passes first: new sessions are refused while draining or over the limit, in a way after
/// which clients try again; requests of a session must know its sealed id; the connection it upgrades to is noted.
async fn guard(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let value =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let is_websocket = value("transport") == Some("websocket");
    let peer = request.extensions().get::<Peer>().cloned();
    let Some(sealed) = value("sid").map(str::to_owned) else {
        if edge.state.shutdown.requested.is_cancelled() {
            return unavailable();
        }
        let Ok(place) = Arc::clone(&edge.sessions).try_acquire_owned() else {
            metrics::counter!("connections_refused_total").increment(1);
            return unavailable();
        };
        // The library keeps the extensions as long as the session, and with them its place.
        request.extensions_mut().insert(Arc::new(place));
        if let Some(peer) = peer.filter(|_| is_websocket) {
            peer.control.speaks_websocket();
            return next.run(request).await;
        }
        let response = next.run(request).await;
        return edge.session_ids.seal_handshake(response).await;
    };
    let Some(sid) = edge.session_ids.open(&sealed) else {
        return (StatusCode::BAD_REQUEST, UNKNOWN_SESSION).into_response();
    };
    let request = unseal(request, &sealed, sid);
    if request.method() == Method::POST {
        return match defused(request, edge.payload_bytes_max).await {
            Ok(request) => next.run(request).await,
            Err(status) => status.into_response(),
        };
    }
    if let Some(peer) = peer.filter(|_| is_websocket) {
        if !edge.transports.note(sid, &peer) {
            return (StatusCode::BAD_REQUEST, UNKNOWN_SESSION).into_response();
        }
        peer.control.speaks_websocket();
    }
    next.run(request).await
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")]).into_response()
}

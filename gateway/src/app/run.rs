//! One process from its first bind to its last task.
//!
//! Start: backends, bind, spawn, serve, ready. Stop: not ready, nothing new, everything taken is answered, transports
//! close spread out, the producer is flushed, the lease is released last.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tokio::{net::TcpListener, sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    AppError, Opened,
    backends::{migrate, open, require_migrated, wait},
    parts::WatchedTail,
};
use crate::{
    authenticate::Authenticator,
    authorise::Authoriser,
    broker::{Patience, Publisher},
    config::{ACK_LIMIT, Config, LAST_STEPS, Role},
    http::{Dependencies, admin_router, public_router},
    persistor::Persistor,
    presence::{Registrar, RegistrarSettings},
    publish::Publishing,
    shutdown::Shutdown,
    socket::{Edge, Listening, listen},
    state::{AppState, Readiness},
    telemetry::{start_metrics, upkeep},
};

/// What is left of [`ACK_LIMIT`] for the way back.
const ACK_MARGIN: Duration = Duration::from_millis(500);

/// Connections at a time on the admin port.
const ADMIN_CONNECTIONS_MAX: usize = 256;

/// Open files beside the clients' connections: backends, logs, the embedded database.
const OTHER_FILES: u64 = 200;

/// Connections that the system completes before we accept them.
const BACKLOG: i32 = 1_024;

/// The ports of one process.
#[derive(Debug)]
pub struct Bound {
    /// A worker has none.
    pub public: Option<TcpListener>,
    pub admin: TcpListener,
}

impl Bound {
    /// Of the public port and the admin port.
    pub fn addresses(&self) -> (Option<SocketAddr>, SocketAddr) {
        let public = self.public.as_ref().and_then(|listener| listener.local_addr().ok());
        let admin = self.admin.local_addr().unwrap_or_else(|_| SocketAddr::from(([0; 4], 0)));
        (public, admin)
    }
}

/// Binds the ports, for the runtime that calls. Port 0 takes a free one.
pub fn bind(config: &Config) -> Result<Bound, AppError> {
    let public = match config.role {
        Role::Serve | Role::Standalone | Role::Dev => {
            Some(bind_one("HOST, PORT", config.host, config.port)?)
        }
        Role::Worker | Role::Migrate => None,
    };
    Ok(Bound {
        public,
        admin: bind_one("ADMIN_HOST, ADMIN_PORT", config.admin_host, config.admin_port)?,
    })
}

fn bind_one(
    settings: &'static str,
    host: Option<IpAddr>,
    port: u16,
) -> Result<TcpListener, AppError> {
    let address = SocketAddr::new(host.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), port);
    match open_port(address) {
        // A machine without IPv6: unless an address was asked for, IPv4 will do.
        Err(error) if host.is_none() && error.kind() != io::ErrorKind::AddrInUse => {
            let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
            open_port(address).map_err(|source| AppError::Listen { settings, address, source })
        }
        bound => bound.map_err(|source| AppError::Listen { settings, address, source }),
    }
}

/// As tokio does it, and `::` takes IPv4 as well whatever the system's default is.
fn open_port(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Runs the process until shutdown is requested or a part of it fails, then drains within the limit.
///
/// `ready` is called with the bound addresses once clients may come.
pub async fn run(
    config: &Config,
    bound: Bound,
    shutdown: Shutdown,
    ready: impl FnOnce(Option<SocketAddr>, SocketAddr),
) -> Result<(), AppError> {
    raise_open_files(config);
    let result = live(config, bound, &shutdown, ready).await;
    // A start that failed leaves nothing behind either, and no part of it has ended by itself.
    shutdown.requested.cancel();
    shutdown.stopped.cancel();
    result
}

async fn live(
    config: &Config,
    bound: Bound,
    shutdown: &Shutdown,
    ready: impl FnOnce(Option<SocketAddr>, SocketAddr),
) -> Result<(), AppError> {
    let addresses = bound.addresses();
    let Bound { public, admin } = bound;
    let readiness = Readiness::default();
    // Probes are answered while the backends are waited for.
    let dependencies = Arc::default();
    serve_admin(config, admin, &dependencies, &readiness, shutdown)?;
    // Whoever asks for a stop while a backend is waited for does not wait with it.
    let requested = &shutdown.requested;
    let Some(opened) = requested.run_until_cancelled(prepare(config)).await.transpose()? else {
        return Ok(());
    };
    dependencies.get_or_init(|| opened.dependencies.clone());

    let (failing, mut failed) = mpsc::channel(1);
    if config.role.persists() {
        spawn_persistor(config, &opened, shutdown, failing);
    }
    let front = match public {
        Some(listener) => {
            let start = Front::start(config, &opened, shutdown, readiness.clone(), listener);
            requested.run_until_cancelled(start).await.transpose()?
        }
        None => None,
    };
    be_ready(config, shutdown, &readiness, addresses, ready);

    let failure = tokio::select! {
        // A part that says why it failed ends as well.
        biased;
        () = shutdown.requested.cancelled() => None,
        Some(failure) = failed.recv() => Some(failure),
        part = shutdown.broken.wait() => {
            Some(AppError::PartStopped(format!("`{part}` ended although nobody asked for a stop")))
        }
    };
    shutdown.requested.cancel();
    let late = stop(config, front, shutdown).await;
    match failure {
        Some(failure) => Err(failure),
        None if late.is_empty() => Ok(()),
        None => Err(AppError::DrainedLate(late.join(", "))),
    }
}

/// Until the very end of the process.
fn serve_admin(
    config: &Config,
    listener: TcpListener,
    dependencies: &Arc<OnceLock<Dependencies>>,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> Result<(), AppError> {
    let metrics = start_metrics()?;
    let stopped = &shutdown.stopped;
    let upkeep = stopped.clone().run_until_cancelled_owned(upkeep(metrics.clone()));
    shutdown.spawn_part("upkeep of metrics", upkeep);
    let router =
        admin_router(Arc::clone(dependencies), readiness.clone(), shutdown.clone(), metrics);
    let listening = listening(config, ADMIN_CONNECTIONS_MAX, stopped.clone(), shutdown);
    shutdown.spawn_part("admin port", listen(listener, router, listening));
    Ok(())
}

/// Nothing happens if a stop was asked for meanwhile.
fn be_ready(
    config: &Config,
    shutdown: &Shutdown,
    readiness: &Readiness,
    (public, admin): (Option<SocketAddr>, SocketAddr),
    ready: impl FnOnce(Option<SocketAddr>, SocketAddr),
) {
    if shutdown.requested.is_cancelled() {
        return;
    }
    readiness.set_positioned();
    tracing::info!(
        role = config.role.as_str(),
        server.id = config.server_id,
        address = public.map(tracing::field::display),
        admin_address = %admin,
        "gateway is ready"
    );
    ready(public, admin);
}

/// The backends, with everything in them that this role needs.
async fn prepare(config: &Config) -> Result<Opened, AppError> {
    let opened = open(config).await?;
    if config.role.may_embed() {
        migrate(config, &opened).await?;
    } else {
        require_migrated(config, &opened).await?;
    }
    Ok(opened)
}

/// Each connection is an open file, and shells hand out 1,024 of them: takes as many as the system lets us.
fn raise_open_files(config: &Config) {
    let connections_max = config.sockets.connections_max as u64;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if config.role.serves_clients() && limit < connections_max + OTHER_FILES => {
            tracing::warn!(
                "the system allows {limit} open files, too few for CONNECTIONS_MAX ({connections_max}): raise the limit (`ulimit -n`) or lower the setting"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files: {error}"),
    }
}

/// Drains within the limit. Returns what could not be done in time.
async fn stop(config: &Config, front: Option<Front>, shutdown: &Shutdown) -> Vec<String> {
    let deadline = Instant::now() + config.lifecycle.drain_limit;
    // What is left when so much of the limit is kept for what comes after.
    let left = |kept: Duration| (deadline - kept).saturating_duration_since(Instant::now());
    tracing::info!("draining");
    let mut late = Vec::new();
    if let Some(front) = &front {
        let limit = config.lifecycle.close_limit;
        if !shutdown.wait_for_events(left(limit + LAST_STEPS)).await {
            late.push(format!("{} events were not answered", shutdown.events.len()));
        }
        front.edge.drain(limit).await;
        front.refusing.cancel();
        if !front.publisher.flush(left(LAST_STEPS / 2)).await {
            late.push("the brokers did not confirm every record".to_owned());
        }
        front.registrar.close(LAST_STEPS.min(left(LAST_STEPS / 4))).await;
    }
    shutdown.stopped.cancel();
    if !shutdown.wait_for_tasks(left(Duration::ZERO)).await {
        late.push(format!("{} tasks did not end", shutdown.tasks.len()));
    }
    late
}

fn listening(
    config: &Config,
    connections_max: usize,
    until: CancellationToken,
    shutdown: &Shutdown,
) -> Listening {
    Listening {
        connections_max,
        header_timeout: config.http.header_timeout,
        until,
        stopped: shutdown.stopped.clone(),
        tasks: shutdown.tasks.clone(),
    }
}

fn spawn_persistor(
    config: &Config,
    opened: &Opened,
    shutdown: &Shutdown,
    failing: mpsc::Sender<AppError>,
) {
    let persistor = Persistor {
        store: Arc::clone(&opened.store),
        broker: Arc::clone(&opened.broker),
        topics: config.backends.topics.clone(),
        group: config.backends.kafka.group.clone(),
        settings: config.persistor.clone(),
        shutdown: shutdown.clone(),
    };
    // Ends once `requested` and every partition is given back.
    shutdown.spawn_part("persistor", async move {
        if let Err(error) = persistor.run().await {
            // Only the first failure counts: with a full channel the process stops already.
            failing.try_send(error.into()).unwrap_or_default();
        }
    });
}

/// The part of a process that clients connect to.
struct Front {
    edge: Edge,
    /// Cancelled when nobody may connect any more. Not at once: a client that polls fetches its last acks over
    /// connections that may be new, and one that is too late is told so by 503.
    refusing: CancellationToken,
    publisher: Arc<dyn Publisher>,
    registrar: Registrar,
}

impl Front {
    async fn start(
        config: &Config,
        opened: &Opened,
        shutdown: &Shutdown,
        readiness: Readiness,
        listener: TcpListener,
    ) -> Result<Self, AppError> {
        let topics = &config.backends.topics;
        let publish_timeout = config.backends.kafka.publish_timeout;
        let publisher = opened.broker.publisher(Patience::Limited(publish_timeout))?;
        let settings =
            RegistrarSettings { server_id: config.server_id.clone(), lease: config.presence.lease };
        let registrar = Registrar::start(Arc::clone(&opened.presence), settings, shutdown);
        let state = AppState {
            store: Arc::clone(&opened.store),
            presence: Arc::clone(&opened.presence),
            registrar: registrar.clone(),
            authenticator: Arc::new(Authenticator::new(&config.tokens)?),
            authoriser: Authoriser::new(
                Arc::clone(&opened.store),
                config.sockets.membership_ttl,
                config.sockets.membership_entries_max,
            ),
            publishing: Publishing {
                publisher: Arc::clone(&publisher),
                messages: Arc::clone(&topics.messages),
                memberships: Arc::clone(&topics.memberships),
            },
            readiness,
            shutdown: shutdown.clone(),
            publish_by: ACK_LIMIT.saturating_sub(publish_timeout + ACK_MARGIN),
        };
        let (edge, socket_io) =
            Edge::new(state.clone(), &config.sockets, config.http.client_address_header.clone());
        // A broker that has just started may not lead its partitions yet.
        let deadline = Instant::now() + config.lifecycle.start_limit;
        let tail = async |topic: &str| {
            let attempt = async || opened.broker.tail(topic).await;
            wait("KAFKA_BROKERS", opened.dependencies.broker.0, deadline, attempt).await
        };
        let persisted = tail(&topics.persisted).await?;
        let changes = tail(&topics.memberships).await?;
        let watched = |part, tail| WatchedTail::boxed(tail, shutdown.watch(part));
        let (persisted, changes) =
            (watched("broadcast", persisted), watched("memberships", changes));
        edge.spawn(persisted, changes, config.sockets.ping_interval);
        let payload_bytes_max = config.sockets.payload_bytes_max;
        let router = public_router(&state, &edge, socket_io, &config.http, payload_bytes_max);
        let connections_max = config.sockets.connections_max;
        let refusing = CancellationToken::new();
        let listening = listening(config, connections_max, refusing.clone(), shutdown);
        shutdown.spawn_part("public port", listen(listener, router, listening));
        Ok(Self { edge, refusing, publisher, registrar })
    }
}

#[cfg(test)]
mod tests;

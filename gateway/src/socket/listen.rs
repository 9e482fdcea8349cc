//! Accepts TCP connections and serves HTTP/1.1 on them, within limits that `axum::serve` does not know.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::connection::{Connection, Peer};

/// How long to wait after an `accept` that failed for want of files or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What a connection over the limit is told; a Socket.IO client tries again by itself.
const OVER_LIMIT: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n",
    "Content-Type: application/json\r\nContent-Length: 90\r\n\r\n",
    r#"{"statusCode":503,"error":"Service Unavailable","message":"Over the limit of connections"}"#
);

/// Longest header of a request: a token of 8 KiB, cookies and what proxies add.
const HEADER_BYTES_MAX: usize = 32 * 1_024;

/// How long such a connection may take to be told.
const OVER_LIMIT_DEADLINE: Duration = Duration::from_secs(1);

/// Connections that are being told so at a time; above it they are just closed.
const OVER_LIMIT_AT_A_TIME: usize = 256;

/// How a port is served.
#[derive(Clone, Debug)]
pub struct Listening {
    pub connections_max: usize,
    /// How long a client may take to send the header of its request.
    pub header_timeout: Duration,
    /// No connection is accepted after this.
    pub until: CancellationToken,
    /// Connections end at the latest then.
    pub stopped: CancellationToken,
    pub tasks: TaskTracker,
}

/// Accepts until [`Listening::until`], then closes the port. Connections live on.
pub async fn listen(listener: TcpListener, router: Router, listening: Listening) {
    let places = Arc::new(Semaphore::new(listening.connections_max));
    let refusals = Arc::new(Semaphore::new(OVER_LIMIT_AT_A_TIME));
    loop {
        let accepted = tokio::select! {
            () = listening.until.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let router = router.clone();
            let serving = serve(stream, address, router, listening.clone(), place);
            listening.tasks.spawn(serving);
        } else {
            metrics::counter!("connections_refused_total").increment(1);
            if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                listening.tasks.spawn(timeout(OVER_LIMIT_DEADLINE, refuse(stream, permit)));
            }
        }
    }
}

async fn pause_after(error: &io::Error) {
    let is_the_peers =
        matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
    if !is_the_peers {
        tracing::error!(%error, "cannot accept a connection: {error}");
        sleep(ACCEPT_RETRY).await;
    }
}

/// Reads the request first: an answer before it confuses clients, and a reset on unread bytes takes it away.
async fn refuse(stream: TcpStream, _permit: OwnedSemaphorePermit) -> io::Result<()> {
    let mut stream = stream;
    let mut request = [0; 4_096];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    stream.write_all(OVER_LIMIT.as_bytes()).await?;
    stream.shutdown().await
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    listening: Listening,
    place: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection was gone before it was served");
        return;
    }
    let (connection, control) = Connection::new(stream, place);
    let peer = Peer { address, control };
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(listening.header_timeout)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
    tokio::select! {
        served = serving => {
            if let Err(error) = served {
                tracing::debug!(%error, "connection ended: {error}");
            }
        }
        () = listening.stopped.cancelled() => {}
    }
}

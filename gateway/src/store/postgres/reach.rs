//! Notices that the server refuses connections.
//!
//! The pool of sqlx takes a refused connection for a server that is starting, and tries again until its timeout.
//! A caller should hear at once, so while it waits for a connection the port is tried beside it.

use std::{io, time::Duration};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

/// How long a caller waits for a connection before the port is tried, and between two tries of a process.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// Longest a try may take. No answer is no refusal.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// Where the server listens, and when that was last tried.
#[derive(Debug)]
pub(super) struct Reach {
    /// `None`: a Unix socket; sqlx reports a missing one at once.
    address: Option<(String, u16)>,
    /// One try at a time, shared by all who wait.
    last: Mutex<Option<Probe>>,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    at: Instant,
    is_refused: bool,
}

impl Reach {
    pub(super) fn of(server: &PgConnectOptions) -> Self {
        let is_socket = server.get_socket().is_some() || server.get_host().starts_with('/');
        let address = (!is_socket).then(|| (server.get_host().to_owned(), server.get_port()));
        Self { address, last: Mutex::new(None) }
    }

    /// Resolves only once the server refuses a connection. Cancel safe.
    pub(super) async fn refused(&self) -> sqlx::Error {
        let Some(address) = &self.address else { return std::future::pending().await };
        loop {
            sleep(PROBE_INTERVAL).await;
            if self.is_refused(address).await {
                let reason = format!("{}:{} refuses connections", address.0, address.1);
                return io::Error::new(io::ErrorKind::ConnectionRefused, reason).into();
            }
        }
    }

    async fn is_refused(&self, (host, port): &(String, u16)) -> bool {
        let mut last = self.last.lock().await;
        if let Some(probe) = *last
            && probe.at.elapsed() < PROBE_INTERVAL
        {
            return probe.is_refused;
        }
        let connection = timeout(PROBE_LIMIT, TcpStream::connect((host.as_str(), *port))).await;
        let is_refused = matches!(
            connection,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused
        );
        *last = Some(Probe { at: Instant::now(), is_refused });
        is_refused
    }
}

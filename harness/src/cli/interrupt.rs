//! Commands that are broken off.

use futures_util::future::select_all;
use tokio::signal::unix::{SignalKind, signal};

use super::{HUNG_UP, INTERRUPTED, TERMINATED, terminal::note};

/// Waits for Ctrl-C, SIGTERM or the end of the terminal: the exit code that says so.
pub(super) async fn interrupted() -> u8 {
    let signals = [
        (SignalKind::interrupt(), INTERRUPTED),
        (SignalKind::terminate(), TERMINATED),
        (SignalKind::hangup(), HUNG_UP),
    ];
    let waiting = signals.map(|(kind, code)| {
        Box::pin(async move {
            match signal(kind) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(error) => {
                    note(&format!("cannot wait for signals: {error}"));
                    std::future::pending::<()>().await;
                }
            }
            code
        })
    });
    select_all(waiting).await.0
}

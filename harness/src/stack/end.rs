//! Ends a server and everything it has spawned: politely first, then by force, and not before it is really gone.

use super::error::StackError;
use super::process::{Life, Process, wait_gone};
use super::service::Service;
use rustix::process::Signal;
use std::time::Duration;

/// How long a server may take to stop by itself.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How long the kernel may take to remove a killed process.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// How a server is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is asked to stop and may finish what it does; killed only if it takes too long.
    Stop,
    /// It is killed on the spot, as by a crash.
    Kill,
}

/// Returns when no process of the tree is left. One that has ended before is no failure.
pub(super) async fn end(
    service: Service,
    process: Process,
    ending: Ending,
) -> Result<(), StackError> {
    if process.life() == Life::Gone {
        return Ok(());
    }
    if ending == Ending::Stop {
        let tree = process.tree();
        process.signal(stop_signal(service))?;
        process.thaw()?;
        if wait_gone(&tree, STOP_LIMIT).await.is_empty() {
            return Ok(());
        }
        return kill(service, process, tree).await;
    }
    kill(service, process, Vec::new()).await
}

/// Freezes the tree before it kills, so that nothing is spawned behind our back.
async fn kill(service: Service, process: Process, known: Vec<Process>) -> Result<(), StackError> {
    process.freeze().await?;
    let mut tree = process.tree();
    tree.extend(known);
    for one in &tree {
        one.signal(Signal::KILL)?;
    }
    match wait_gone(&tree, KILL_LIMIT).await.first() {
        Some(left) => Err(StackError::Immortal { service, pid: left.pid }),
        None => Ok(()),
    }
}

/// What means "stop now" to the server. To Postgres SIGTERM means "when all clients have left".
const fn stop_signal(service: Service) -> Signal {
    match service {
        Service::Kafka | Service::Redis => Signal::TERM,
        Service::Postgres => Signal::INT,
    }
}

//! Brings one server of a stack from whatever state it is in to the point where it answers.

use super::end::{Ending, end};
use super::error::StackError;
use super::process::{Life, Process};
use super::service::Service;
use super::site::{Progress, Site};
use super::state::{Entry, Ledger};
use super::{kafka, postgres, probe, redis};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a started server may take until it answers, on a slow and busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);
/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Says what the machine lacks to run these servers, all of it at once, before anything is started.
pub(super) fn check_programs(services: &[Service]) -> Result<(), StackError> {
    let mut lacking = Vec::new();
    for service in services {
        match service {
            Service::Kafka => lacking.extend(kafka::lacking()?),
            Service::Redis => lacking.extend(redis::lacking()),
            Service::Postgres => lacking.extend(postgres::lacking()),
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let (programs, packages): (Vec<&str>, Vec<&str>) = lacking.into_iter().unzip();
    Err(StackError::Lacking {
        what: format!("not installed: {}", programs.join(", ")),
        remedy: format!(
            "on Debian or Ubuntu: apt-get install --no-install-recommends {}",
            packages.join(" ")
        ),
    })
}

/// Starts the server unless it runs, thaws it if it is frozen, and waits until it answers.
pub(super) async fn start(
    ledger: &Ledger,
    service: Service,
    progress: Progress<'_>,
) -> Result<(), StackError> {
    let Some(entry) = ledger.entry(service) else { return Ok(()) };
    let running = running(&entry, service).await?;
    let site = Site::new(ledger, service, entry, progress);
    let begun = Instant::now();
    let process = match running {
        Some(process) => process,
        None => match service {
            Service::Kafka => kafka::start(&site).await?,
            Service::Redis => redis::start(&site).await?,
            Service::Postgres => postgres::start(&site).await?,
        },
    };
    wait_for_answer(&site, process).await?;
    if service == Service::Postgres {
        postgres::ensure_database(&site).await?;
    }
    if running.is_none() {
        progress(&format!("{service}: up after {:.1} s", begun.elapsed().as_secs_f32()));
    }
    Ok(())
}

/// The server's process, awake. What an interrupted command was preparing is ended: it will be begun anew.
async fn running(entry: &Entry, service: Service) -> Result<Option<Process>, StackError> {
    let Some(process) = entry.process else { return Ok(None) };
    if entry.preparing {
        end(service, process, Ending::Kill).await?;
        return Ok(None);
    }
    match process.life() {
        Life::Gone => Ok(None),
        Life::Running => Ok(Some(process)),
        Life::Frozen => process.thaw().map(|()| Some(process)),
    }
}

async fn wait_for_answer(site: &Site<'_>, process: Process) -> Result<(), StackError> {
    let deadline = Instant::now() + ANSWER_LIMIT;
    loop {
        let Err(error) = probe::answers(site.service, site.entry.port).await else { break };
        if process.life() == Life::Gone {
            return Err(site.failed("it ended"));
        }
        if Instant::now() >= deadline {
            let reason = format!("no answer after {} s ({error})", ANSWER_LIMIT.as_secs());
            end(site.service, process, Ending::Kill).await?;
            return Err(site.failed(reason));
        }
        sleep(ASK_EVERY).await;
    }
    // Somebody else's server may answer on the port while ours has failed to bind it.
    if process.life() == Life::Gone { Err(site.failed("it ended")) } else { Ok(()) }
}

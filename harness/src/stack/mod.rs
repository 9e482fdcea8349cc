//! Stacks: real Kafka, Redis and Postgres on free loopback ports, without Docker, for tests, scenarios and a developer's
//! own gateway. A stack has a name, outlives the command that starts it, and keeps everything in one scratch directory.
//! It never touches servers that it has not started.

mod service;
mod error;
mod places;
mod ports;
mod process;
mod probe;
mod state;
mod site;
mod end;
mod maven;
mod kafka;
mod redis;
mod postgres;
mod start;

pub use end::Ending;
pub use error::StackError;
pub use kafka::java;
pub use maven::{KAFKA_VERSION, kafka_jars};
pub use places::{program_on_path as program, root};
pub(crate) use ports::free as free_ports;
pub use postgres::program as postgres_program;
pub use service::{BadStackName, Service, StackName};
pub use site::Progress;

use error::doing;
use process::Life;
use state::{Entry, Ledger, StackLock};
use std::fs;
use std::io;
use std::path::PathBuf;

/// A stack by its name, up or not. Commands on one stack, from whatever process, take turns.
#[derive(Debug, Clone)]
pub struct Stack {
    name: StackName,
    root: PathBuf,
}

/// What is known of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The server.
    pub service: Service,
    /// Its port on 127.0.0.1, also while it is stopped.
    pub port: u16,
    /// Its process, while there is one.
    pub pid: Option<i32>,
    /// Whether it can be used.
    pub condition: Condition,
}

/// Whether a server can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It answered a request just now.
    Answers,
    /// It runs, but gave no answer, for this reason.
    Silent(String),
    /// It is frozen: connections are accepted by the kernel and nothing happens.
    Frozen,
    /// It does not run.
    Stopped,
}

impl Stack {
    /// The stack with this name, in the scratch root of this user.
    pub fn named(name: StackName) -> Self {
        Self { name, root: root() }
    }

    /// Every stack that has a scratch directory, by name.
    pub fn all() -> Result<Vec<Self>, StackError> {
        let root = root();
        let entries = match fs::read_dir(&root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(doing(format!("reading `{}`", root.display()))(error)),
        };
        // What is no directory with a stack's name is not ours to list.
        let directories = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
        let mut names: Vec<StackName> =
            directories.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        names.sort();
        Ok(names.into_iter().map(Self::named).collect())
    }

    /// Its name.
    pub fn name(&self) -> &StackName {
        &self.name
    }

    /// Where everything of it lies: `state.json`, a log and a directory for each server.
    pub fn directory(&self) -> PathBuf {
        self.root.join(self.name.as_str())
    }

    /// Where a server of it writes its log.
    pub fn log(&self, service: Service) -> PathBuf {
        self.directory().join(service.name()).with_extension("log")
    }

    /// Starts those of `services` that do not run, all at once, and returns when every one answers. Frozen ones are thawed.
    /// On failure the others stay up, and so do the logs, until [`Stack::down`]. Cancelling it is as safe as killing it:
    /// what was started is on record.
    pub async fn up(
        &self,
        services: &[Service],
        progress: Progress<'_>,
    ) -> Result<Vec<Status>, StackError> {
        start::check_programs(services)?;
        let _lock = self.lock(progress).await?;
        let ledger = Ledger::create(&self.root, self.name.as_str(), services)?;
        let begin = |service| {
            let wanted = services.contains(&service);
            let ledger = &ledger;
            async move { if wanted { start::start(ledger, service, progress).await } else { Ok(()) } }
        };
        let (kafka, redis, postgres) =
            tokio::join!(begin(Service::Kafka), begin(Service::Redis), begin(Service::Postgres));
        let mut errors: Vec<StackError> =
            [kafka, redis, postgres].into_iter().filter_map(Result::err).collect();
        match errors.len() {
            0 => {}
            1 => return Err(errors.remove(0)),
            _ => return Err(StackError::Several(errors)),
        }
        let mut all = statuses(&ledger).await;
        all.retain(|status| services.contains(&status.service));
        Ok(all)
    }

    /// Ends every server and removes the scratch directory. Returns whether there was anything to do.
    pub async fn down(&self, progress: Progress<'_>) -> Result<bool, StackError> {
        let directory = self.directory();
        if !directory.exists() && !self.root.join(format!("{}.lock", self.name)).exists() {
            return Ok(false);
        }
        let lock = self.lock(progress).await?;
        let was_up = directory.exists();
        if let Some(ledger) = Ledger::open(&self.root, self.name.as_str())? {
            let finish = |service| {
                let process = ledger.entry(service).and_then(|entry| entry.process);
                async move {
                    match process {
                        Some(process) => end::end(service, process, Ending::Stop).await,
                        None => Ok(()),
                    }
                }
            };
            tokio::try_join!(
                finish(Service::Kafka),
                finish(Service::Redis),
                finish(Service::Postgres)
            )?;
        }
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(doing(format!("removing `{}`", directory.display()))(error));
            }
            _ => {}
        }
        lock.remove()?;
        Ok(was_up)
    }

    /// Ends one server; its port and data are kept (Redis has none to keep). One that does not run is left so.
    pub async fn stop(
        &self,
        service: Service,
        ending: Ending,
        progress: Progress<'_>,
    ) -> Result<(), StackError> {
        let _lock = self.lock_existing(progress).await?;
        let (ledger, entry) = self.open(service)?;
        if let Some(process) = entry.process {
            end::end(service, process, ending).await?;
        }
        ledger.record(service, None, false)
    }

    /// Starts one server again, on its old port, and returns when it answers. One that runs is left so.
    pub async fn start(&self, service: Service, progress: Progress<'_>) -> Result<(), StackError> {
        start::check_programs(&[service])?;
        let _lock = self.lock_existing(progress).await?;
        let (ledger, _) = self.open(service)?;
        start::start(&ledger, service, progress).await
    }

    /// Lets every server of it run again, those that are stopped and those that are frozen. A stack that is down stays so.
    pub async fn mend(&self) -> Result<(), StackError> {
        if self.status().await?.is_some() {
            for service in Service::ALL {
                self.start(service, &|_| {}).await?;
            }
        }
        Ok(())
    }

    /// Stops the processes of one server where they are: it holds its connections and does nothing.
    pub async fn freeze(&self, service: Service, progress: Progress<'_>) -> Result<(), StackError> {
        let _lock = self.lock_existing(progress).await?;
        self.running(service)?.freeze().await
    }

    /// Lets a frozen server go on.
    pub async fn thaw(&self, service: Service, progress: Progress<'_>) -> Result<(), StackError> {
        let _lock = self.lock_existing(progress).await?;
        self.running(service)?.thaw()
    }

    /// What is known of its servers now; none if there is no such stack. Takes no turn: it may see a command's halfway state.
    pub async fn status(&self) -> Result<Option<Vec<Status>>, StackError> {
        match Ledger::open(&self.root, self.name.as_str())? {
            Some(ledger) => Ok(Some(statuses(&ledger).await)),
            None => Ok(None),
        }
    }

    async fn lock(&self, progress: Progress<'_>) -> Result<StackLock, StackError> {
        let waiting = || {
            progress(&format!("stack `{}`: waiting for another command to finish", self.name));
        };
        StackLock::take(&self.root, self.name.as_str(), waiting).await
    }

    /// As `lock`, but leaves no trace of a stack that does not exist.
    async fn lock_existing(&self, progress: Progress<'_>) -> Result<StackLock, StackError> {
        if !self.directory().exists() {
            return Err(StackError::NotUp(self.name.to_string()));
        }
        self.lock(progress).await
    }

    fn open(&self, service: Service) -> Result<(Ledger, Entry), StackError> {
        let ledger = Ledger::open(&self.root, self.name.as_str())?;
        let ledger = ledger.ok_or_else(|| StackError::NotUp(self.name.to_string()))?;
        match ledger.entry(service) {
            Some(entry) => Ok((ledger, entry)),
            None => Err(StackError::NotInStack { stack: self.name.to_string(), service }),
        }
    }

    fn running(&self, service: Service) -> Result<process::Process, StackError> {
        let (_, entry) = self.open(service)?;
        let process = entry.process.filter(|process| process.life() != Life::Gone);
        process.ok_or(StackError::NotRunning(service))
    }
}

impl Status {
    /// The gateway's setting that points at this server: its name and its value.
    pub fn setting(&self) -> (&'static str, String) {
        self.service.setting(self.port)
    }
}

async fn statuses(ledger: &Ledger) -> Vec<Status> {
    let mut all = Vec::new();
    for service in ledger.services() {
        if let Some(entry) = ledger.entry(service) {
            all.push(status(service, &entry).await);
        }
    }
    all
}

async fn status(service: Service, entry: &Entry) -> Status {
    let process = entry.process.filter(|process| process.life() != Life::Gone);
    let condition = match process.map(process::Process::life) {
        None | Some(Life::Gone) => Condition::Stopped,
        Some(Life::Frozen) => Condition::Frozen,
        Some(Life::Running) if entry.preparing => {
            Condition::Silent("its data directory is being prepared".into())
        }
        Some(Life::Running) => match probe::answers(service, entry.port).await {
            Ok(()) => Condition::Answers,
            Err(error) => Condition::Silent(error.to_string()),
        },
    };
    Status { service, port: entry.port, pid: process.map(|process| process.pid), condition }
}

//! One process of the gateway's binary: started, looked at until it is ready, broken and mended.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::DeployError;
use crate::scenario::EndHow;

/// How long a process may take until it is ready.
const LIMIT: Duration = Duration::from_secs(40);

/// How long it may take to end when it is asked to: what `DRAIN_LIMIT_MS` says here, and a bit for the machine.
const END_LIMIT: Duration = Duration::from_secs(super::deployment::DRAIN_LIMIT.as_secs() + 2);

/// How often we ask whether it is ready.
const POLL: Duration = Duration::from_millis(10);

/// So much of a log is shown, in bytes.
const LOG_TAIL_BYTES: usize = 3_000;

/// A process, running or not. It is killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) name: String,
    program: PathBuf,
    role: &'static str,
    environment: BTreeMap<String, String>,
    admin_port: u16,
    log: PathBuf,
    child: Option<Child>,
    pub(super) is_frozen: bool,
}

impl Process {
    /// Not started yet.
    pub(super) fn new(
        program: &Path,
        name: &str,
        role: &'static str,
        environment: BTreeMap<String, String>,
        admin_port: u16,
        log: PathBuf,
    ) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            role,
            environment,
            admin_port,
            log,
            child: None,
            is_frozen: false,
        }
    }

    /// Starts it and waits until it is ready.
    pub(super) async fn start(&mut self, http: &reqwest::Client) -> Result<(), DeployError> {
        if !self.is_running() {
            self.child = Some(spawn(&self.program, self.role, &self.environment, &self.log)?);
            self.is_frozen = false;
        } else if self.is_frozen {
            self.thaw()?;
        }
        let url = format!("http://127.0.0.1:{}/readyz", self.admin_port);
        let deadline = Instant::now() + LIMIT;
        loop {
            let is_ready =
                http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
            let name = self.name.clone();
            // First: the answer may be that of somebody else, if its port was taken.
            if !self.is_running() {
                return Err(DeployError::Ended { name, log: tail(&self.log) });
            }
            if is_ready {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let seconds = LIMIT.as_secs();
                return Err(DeployError::NotReady { name, seconds, log: tail(&self.log) });
            }
            sleep(POLL).await;
        }
    }

    /// Ends it and waits for its end; a frozen one is thawed if it is asked politely.
    pub(super) async fn end(&mut self, how: EndHow) -> Result<(), DeployError> {
        self.must_not_have_died()?;
        match how {
            EndHow::Kill => self.signal(Signal::KILL)?,
            EndHow::Term => {
                self.signal(Signal::TERM)?;
                self.signal(Signal::CONT)?;
            }
            EndHow::Freeze => return self.freeze(),
        }
        self.is_frozen = false;
        let Some(child) = &mut self.child else { return Ok(()) };
        let name = self.name.clone();
        let ended = timeout(END_LIMIT, child.wait()).await;
        if ended.is_err() {
            self.signal(Signal::KILL)?;
        }
        self.child = None;
        match ended {
            Err(_) => {
                let seconds = END_LIMIT.as_secs();
                Err(DeployError::NotEnded { name, seconds, log: tail(&self.log) })
            }
            Ok(Ok(status)) if how == EndHow::Term && !status.success() => {
                Err(DeployError::BadEnd { name, status, log: tail(&self.log) })
            }
            Ok(_) => Ok(()),
        }
    }

    /// A step that ends or starts what has ended by itself would hide that.
    pub(super) fn must_not_have_died(&mut self) -> Result<(), DeployError> {
        if self.ended_by_itself().is_some() {
            self.child = None;
            return Err(DeployError::Ended { name: self.name.clone(), log: tail(&self.log) });
        }
        Ok(())
    }

    /// How it has ended, and what it said last, if nobody has ended it.
    pub(super) fn ended_by_itself(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        let log = tail(&self.log);
        let last = log.lines().last().unwrap_or_default();
        Some(format!("ended by itself with {status}; its log ends: {last}"))
    }

    pub(super) fn freeze(&mut self) -> Result<(), DeployError> {
        self.must_run()?;
        self.is_frozen = true;
        self.signal(Signal::STOP)
    }

    pub(super) fn thaw(&mut self) -> Result<(), DeployError> {
        self.must_run()?;
        self.is_frozen = false;
        self.signal(Signal::CONT)
    }

    fn must_run(&mut self) -> Result<(), DeployError> {
        if self.is_running() { Ok(()) } else { Err(DeployError::NotRunning(self.name.clone())) }
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// To it and to what it has started, at once: what outlives it, if only for a moment, would still speak to Redis. Only
    /// being asked to end is for itself to hand on.
    fn signal(&self, signal: Signal) -> Result<(), DeployError> {
        let pid = self.child.as_ref().and_then(Child::id).and_then(|pid| i32::try_from(pid).ok());
        // Not waited for yet, so the pid is still its own.
        let Some(pid) = pid.and_then(Pid::from_raw) else { return Ok(()) };
        let sent = if signal == Signal::TERM {
            kill_process(pid, signal)
        } else {
            kill_process_group(pid, signal)
        };
        sent.map_err(|error| DeployError::Io {
            doing: format!("signalling `{}`", self.name),
            source: error.into(),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; nobody is left who could be told.
        let _ = self.signal(Signal::KILL);
    }
}

fn spawn(
    program: &Path,
    role: &str,
    environment: &BTreeMap<String, String>,
    log: &Path,
) -> Result<Child, DeployError> {
    let open = || OpenOptions::new().create(true).append(true).open(log);
    let log = open().map_err(|source| DeployError::Io {
        doing: format!("opening `{}`", log.display()),
        source,
    })?;
    Command::new(program)
        .arg(role)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| DeployError::NoProgram { program: program.to_owned(), source })
}

/// Runs a sub-command to its end.
pub(super) async fn run(
    program: &Path,
    role: &str,
    environment: &BTreeMap<String, String>,
    log: &Path,
) -> Result<(), DeployError> {
    let mut child = spawn(program, role, environment, log)?;
    let ended = timeout(LIMIT, child.wait()).await;
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        _ => Err(DeployError::Ended { name: role.to_owned(), log: tail(log) }),
    }
}

/// The end of a log, for people.
fn tail(log: &Path) -> String {
    // A log that cannot be read has nothing to say.
    let text = fs::read(log).unwrap_or_default();
    if text.is_empty() {
        return "(it is empty)".to_owned();
    }
    let from = text.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(&text[from..]).into_owned()
}

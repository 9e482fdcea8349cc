//! One server's place in a stack: its directory, its log, its ports, and the way its processes are run. The modules of the
//! servers say what to run; this one says how, always with the process on record before it does anything.

use super::error::{StackError, doing};
use super::process::{Launch, Process};
use super::service::Service;
use super::state::{Entry, Ledger};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 20;

/// Tells the person at the terminal what is going on. Never called while a lock is held.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

pub(super) struct Site<'a> {
    pub(super) service: Service,
    /// Holds everything that the server writes, except the log.
    pub(super) directory: PathBuf,
    pub(super) entry: Entry,
    pub(super) progress: Progress<'a>,
    ledger: &'a Ledger,
}

impl<'a> Site<'a> {
    pub(super) fn new(
        ledger: &'a Ledger,
        service: Service,
        entry: Entry,
        progress: Progress<'a>,
    ) -> Self {
        Self {
            service,
            directory: ledger.directory().join(service.name()),
            entry,
            progress,
            ledger,
        }
    }

    /// Makes the data directory, unless it is complete already. An interrupted attempt is thrown away first.
    pub(super) async fn prepare(
        &self,
        make: impl Future<Output = Result<(), StackError>>,
    ) -> Result<(), StackError> {
        let complete = self.directory.join("complete");
        if complete.exists() {
            return Ok(());
        }
        self.empty_directory()?;
        make.await?;
        fs::write(&complete, "").map_err(doing(format!("writing `{}`", complete.display())))
    }

    /// Creates the directory, empty.
    pub(super) fn empty_directory(&self) -> Result<(), StackError> {
        let path = self.directory.display();
        if self.directory.exists() {
            fs::remove_dir_all(&self.directory).map_err(doing(format!("emptying `{path}`")))?;
        }
        fs::create_dir(&self.directory).map_err(doing(format!("creating `{path}`")))
    }

    pub(super) fn launch(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Launch {
        Launch {
            program: program.to_path_buf(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            directory: self.directory.clone(),
            log: self.log(),
            owner: None,
        }
    }

    /// Runs a program to its end, which must be a success.
    pub(super) async fn run(&self, launch: Launch) -> Result<(), StackError> {
        let program = launch.program.display().to_string();
        let held = launch.hold()?;
        self.ledger.record(self.service, Some(held.process), true)?;
        let status = held
            .release()
            .await?
            .wait()
            .await
            .map_err(doing(format!("waiting for `{program}`")))?;
        self.ledger.record(self.service, None, false)?;
        if status.success() {
            Ok(())
        } else {
            Err(self.failed(format!("`{program}` failed ({status})")))
        }
    }

    /// Starts the server itself. It runs on when we end.
    pub(super) async fn serve(&self, launch: Launch) -> Result<Process, StackError> {
        let held = launch.hold()?;
        let process = held.process;
        self.ledger.record(self.service, Some(process), false)?;
        held.release().await?;
        Ok(process)
    }

    /// The error that shows the end of the log.
    pub(super) fn failed(&self, reason: impl Into<String>) -> StackError {
        let log = self.log();
        // A log that cannot be read shows as empty; the reason stands on its own.
        let text = fs::read(&log).unwrap_or_default();
        let tail = last_lines(&String::from_utf8_lossy(&text), TAIL_LINES);
        StackError::Start { service: self.service, reason: reason.into(), log, tail }
    }

    fn log(&self) -> PathBuf {
        self.directory.with_extension("log")
    }
}

/// The last lines of a text, indented.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines[from..].iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_log_is_shown() {
        assert_eq!(last_lines("", 2), "");
        assert_eq!(last_lines("a\nb\nc\n", 2), "    b\n    c");
        assert_eq!(last_lines("a", 2), "    a");
    }
}

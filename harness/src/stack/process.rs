//! Processes that outlive us: started in a session of their own, told apart by pid *and* start time, and signalled only
//! after both were checked, so that a pid which the kernel has given to somebody else is never hit. Knows nothing of
//! servers. Needs Linux's `/proc`.

use super::error::{StackError, doing};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep};

/// How often we look whether a process has ended.
const POLL: Duration = Duration::from_millis(20);
/// How long we wait for a tree of processes to stand still.
const FREEZE_LIMIT: Duration = Duration::from_secs(2);

/// What the new session runs: wait for the word to go (or for the death of whoever should give it), drop what the caller
/// leaked into us (a lock held by a descriptor would be held as long as the server lives), become the program.
const HELD: &str = r#"read -r go || exit 125
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
exec "$@" </dev/null"#;

/// The identity of a process: no two processes of one boot share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// The process id.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub started_ticks: u64,
}

/// Whether a process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    /// Stopped by SIGSTOP.
    Frozen,
    /// Ended; a zombie counts as ended.
    Gone,
}

/// What to run, and as whom.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// Its working directory.
    pub(super) directory: PathBuf,
    /// Where its output is appended.
    pub(super) log: PathBuf,
    /// User and group to run as, when not ours.
    pub(super) owner: Option<(u32, u32)>,
}

/// A process that exists but waits: it runs its program when released, and exits if we die before.
#[derive(Debug)]
pub(super) struct Held {
    /// Its identity, to be recorded before `release`.
    pub(super) process: Process,
    child: Child,
    gate: ChildStdin,
}

struct Stat {
    state: char,
    parent: i32,
    started_ticks: u64,
}

impl Launch {
    /// Creates the process, held. `setsid` is a program here, since calling the function between fork and exec would need
    /// unsafe code; it keeps the pid.
    pub(super) fn hold(self) -> Result<Held, StackError> {
        let starting = || format!("starting `{}`", self.program.display());
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(doing(starting()))?;
        let errors = log.try_clone().map_err(doing(starting()))?;
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", HELD, "sh"]).arg(&self.program).args(&self.arguments);
        command.current_dir(&self.directory).stdin(Stdio::piped()).stdout(log).stderr(errors);
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        let mut child = command.spawn().map_err(doing(starting()))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let process = pid.and_then(Process::of);
        match (process, child.stdin.take()) {
            (Some(process), Some(gate)) => Ok(Held { process, child, gate }),
            _ => Err(doing(starting())(io::Error::other("it ended at once"))),
        }
    }
}

impl Held {
    /// Lets it run. The child may be waited for or dropped: dropping does not end it.
    pub(super) async fn release(mut self) -> Result<Child, StackError> {
        self.gate.write_all(b"go\n").await.map_err(doing("releasing a process"))?;
        Ok(self.child)
    }
}

impl Process {
    /// The process that has this pid now; none if there is none.
    pub(super) fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, started_ticks: stat.started_ticks })
    }

    pub(super) fn life(self) -> Life {
        match stat(self.pid) {
            Some(stat) if stat.started_ticks == self.started_ticks => match stat.state {
                'Z' | 'X' => Life::Gone,
                'T' | 't' => Life::Frozen,
                _ => Life::Running,
            },
            _ => Life::Gone,
        }
    }

    /// Itself and its descendants, parents first. Postgres, for one, gives each connection a process and a session.
    pub(super) fn tree(self) -> Vec<Self> {
        let all: Vec<(Self, i32)> = every_process();
        let mut tree = vec![self];
        let mut next = 0;
        while let Some(parent) = tree.get(next).copied() {
            tree.extend(all.iter().filter(|(_, of)| *of == parent.pid).map(|(child, _)| *child));
            next += 1;
        }
        tree.retain(|process| process.life() != Life::Gone);
        tree
    }

    /// Sends the signal if this very process is still there; that it is not is no failure.
    pub(super) fn signal(self, signal: Signal) -> Result<(), StackError> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        if self.life() == Life::Gone {
            return Ok(());
        }
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(doing(format!("signalling process {}", self.pid))(errno.into())),
        }
    }

    /// Stops the whole tree, parents first, until nothing new turns up. Whatever is still awake when the limit is over (it
    /// sits in an uninterruptible call) stops as soon as it leaves the kernel.
    pub(super) async fn freeze(self) -> Result<(), StackError> {
        let deadline = Instant::now() + FREEZE_LIMIT;
        loop {
            let awake: Vec<Self> =
                self.tree().into_iter().filter(|one| one.life() == Life::Running).collect();
            if awake.is_empty() || Instant::now() >= deadline {
                return Ok(());
            }
            for process in awake {
                process.signal(Signal::STOP)?;
            }
            sleep(POLL).await;
        }
    }

    /// Lets the whole tree run again.
    pub(super) fn thaw(self) -> Result<(), StackError> {
        self.tree().into_iter().try_for_each(|process| process.signal(Signal::CONT))
    }
}

/// Waits until all of them have ended; those that have not when the limit is over are returned.
pub(super) async fn wait_gone(processes: &[Process], limit: Duration) -> Vec<Process> {
    let deadline = Instant::now() + limit;
    loop {
        let left: Vec<Process> =
            processes.iter().copied().filter(|one| one.life() != Life::Gone).collect();
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        sleep(POLL).await;
    }
}

/// The processes whose working directory this is.
pub(super) fn working_in(directory: &Path) -> Vec<Process> {
    // The kernel names directories without symbolic links. One that does not exist has nobody in it.
    let Ok(directory) = fs::canonicalize(directory) else { return Vec::new() };
    let works = |process: &Process| {
        fs::read_link(format!("/proc/{}/cwd", process.pid))
            .is_ok_and(|current| current == directory)
    };
    every_process().into_iter().map(|(process, _)| process).filter(works).collect()
}

/// Identifies this boot: pids and start times mean nothing in another.
pub(super) fn boot_id() -> Result<String, StackError> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).map_err(|_| StackError::Lacking {
        what: "there is no `/proc` to tell processes apart".into(),
        remedy: "`harness stack` runs on Linux; elsewhere use a container or virtual machine"
            .into(),
    })
}

/// Every process of the machine, with its parent's pid.
fn every_process() -> Vec<(Process, i32)> {
    // Entries that vanish while we read are processes that ended.
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        stat(pid).map(|stat| (Process { pid, started_ticks: stat.started_ticks }, stat.parent))
    })
    .collect()
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 3, 4 and 22 of `/proc/<pid>/stat`. The second is the program's name in brackets and may hold anything, brackets
/// and blanks included, so counting starts behind the last bracket.
fn parse_stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started_ticks: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(directory: &Path, script: &str) -> Held {
        let launch = Launch {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            directory: directory.to_path_buf(),
            log: directory.join("log"),
            owner: None,
        };
        launch.hold().unwrap()
    }

    #[test]
    fn the_name_of_a_program_cannot_confuse_its_start_time() {
        let stat =
            parse_stat("7 (a) b) S 3 7 7 0 -1 4 0 0 0 0 1 2 0 0 20 0 1 0 4711 99 1").unwrap();
        assert_eq!((stat.state, stat.parent, stat.started_ticks), ('S', 3, 4711));
        assert!(parse_stat("7 (a) S 3").is_none());
    }

    #[test]
    fn another_process_with_the_same_pid_is_not_ours() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let ours = Process::of(pid).unwrap();
        assert_eq!(ours.life(), Life::Running);
        let earlier = Process { started_ticks: ours.started_ticks - 1, ..ours };
        assert_eq!(earlier.life(), Life::Gone);
        earlier.signal(Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn a_process_runs_only_after_its_release() {
        let directory = tempfile::tempdir().unwrap();
        let held = sleeper(directory.path(), "echo ran");
        assert_eq!(held.process.life(), Life::Running);
        drop(held.gate);
        let mut child = held.child;
        assert_eq!(child.wait().await.unwrap().code(), Some(125));
        assert_eq!(fs::read_to_string(directory.path().join("log")).unwrap(), "");

        let mut child = sleeper(directory.path(), "echo ran").release().await.unwrap();
        assert!(child.wait().await.unwrap().success());
        assert_eq!(fs::read_to_string(directory.path().join("log")).unwrap(), "ran\n");
    }

    #[tokio::test]
    async fn freezing_and_ending_reach_children_in_sessions_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let held = sleeper(directory.path(), "setsid sleep 600 & echo up; wait");
        let parent = held.process;
        let _child = held.release().await.unwrap();
        while parent.tree().len() < 2 {
            sleep(POLL).await;
        }

        parent.freeze().await.unwrap();
        let tree = parent.tree();
        assert!(tree.iter().all(|process| process.life() == Life::Frozen));
        parent.thaw().unwrap();
        assert!(tree.iter().all(|process| process.life() == Life::Running));

        assert_eq!(wait_gone(&tree, POLL).await, tree);
        for process in &tree {
            process.signal(Signal::KILL).unwrap();
        }
        assert_eq!(wait_gone(&tree, Duration::from_secs(10)).await, []);
    }
}

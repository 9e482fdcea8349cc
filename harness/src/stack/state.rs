//! What a stack remembers between commands: ports and processes in `state.json`, replaced as a whole; and the lock that
//! lets one command at a time work on a stack. Whoever starts a process writes it down here before it runs, so that an
//! interrupted command leaves nothing behind that the next one cannot find.

use super::error::{StackError, doing};
use super::ports;
use super::process::{Process, boot_id};
use super::service::Service;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const STATE_FILE: &str = "state.json";
/// Serves all stacks of a root while ports are chosen. No stack can have this name.
const PORTS_LOCK: &str = ".ports.lock";

/// The content of `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The boot in which the processes were started.
    boot_id: String,
    pub(super) services: BTreeMap<Service, Entry>,
}

/// One server of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Where clients connect. Kept for the life of the stack.
    pub(super) port: u16,
    /// Where Kafka's controller listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) controller_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<Process>,
    /// The process only prepares the data directory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) preparing: bool,
}

/// The state in memory and on disk. Servers start in parallel and share it.
#[derive(Debug)]
pub(super) struct Ledger {
    directory: PathBuf,
    state: Mutex<State>,
}

/// Held while a command changes a stack; released when dropped or when the process dies, however it dies.
#[derive(Debug)]
pub(super) struct StackLock {
    path: PathBuf,
    _file: File,
}

impl Ledger {
    /// Opens the stack in `root` under this name, creating what is missing, and gives each of `services` a port for good.
    /// The caller holds the stack's lock.
    pub(super) fn create(
        root: &Path,
        name: &str,
        services: &[Service],
    ) -> Result<Self, StackError> {
        let directory = root.join(name);
        create_open_directory(&directory)?;
        let guard = open_lock(&root.join(PORTS_LOCK))?;
        guard.lock().map_err(doing(format!("locking `{}`", root.join(PORTS_LOCK).display())))?;
        let mut state = match load(&directory)? {
            Some(state) => state,
            None => State { boot_id: boot_id()?, services: BTreeMap::new() },
        };
        let mut taken = ports_of_all(root);
        for service in services
            .iter()
            .filter(|service| !state.services.contains_key(service))
            .collect::<Vec<_>>()
        {
            let count = if *service == Service::Kafka { 2 } else { 1 };
            let chosen = ports::free(count, &taken)?;
            taken.extend(&chosen);
            let entry = Entry {
                port: chosen[0],
                controller_port: chosen.get(1).copied(),
                process: None,
                preparing: false,
            };
            state.services.insert(*service, entry);
        }
        save(&directory, &state)?;
        Ok(Self { directory, state: Mutex::new(state) })
    }

    /// Opens the stack, if it is there.
    pub(super) fn open(root: &Path, name: &str) -> Result<Option<Self>, StackError> {
        let directory = root.join(name);
        let state = load(&directory)?;
        Ok(state.map(|state| Self { directory, state: Mutex::new(state) }))
    }

    /// The scratch directory of the stack.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn services(&self) -> Vec<Service> {
        self.locked().services.keys().copied().collect()
    }

    pub(super) fn entry(&self, service: Service) -> Option<Entry> {
        self.locked().services.get(&service).cloned()
    }

    /// Writes down which process the server has now.
    pub(super) fn record(
        &self,
        service: Service,
        process: Option<Process>,
        preparing: bool,
    ) -> Result<(), StackError> {
        let mut state = self.locked();
        if let Some(entry) = state.services.get_mut(&service) {
            entry.process = process;
            entry.preparing = preparing;
        }
        save(&self.directory, &state)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // Nobody leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StackLock {
    /// Waits for its turn; says so through `waiting` if another command has the stack.
    pub(super) async fn take(
        root: &Path,
        name: &str,
        waiting: impl Fn(),
    ) -> Result<Self, StackError> {
        create_open_directory(root)?;
        let path = root.join(format!("{name}.lock"));
        loop {
            let mut file = open_lock(&path)?;
            if let Err(error) = file.try_lock() {
                if let TryLockError::Error(source) = error {
                    return Err(doing(format!("locking `{}`", path.display()))(source));
                }
                waiting();
                let blocking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
                let locked = blocking.await.map_err(io::Error::other).and_then(|locked| locked);
                file = locked.map_err(doing(format!("locking `{}`", path.display())))?;
            }
            // `down` removes the file. Who waited for the removed one must not take it for the new one.
            let (held, named) = (file.metadata(), fs::metadata(&path));
            if let (Ok(held), Ok(named)) = (held, named)
                && (held.dev(), held.ino()) == (named.dev(), named.ino())
            {
                return Ok(Self { path, _file: file });
            }
        }
    }

    /// Gives the lock up together with its file.
    pub(super) fn remove(self) -> Result<(), StackError> {
        fs::remove_file(&self.path).map_err(doing(format!("removing `{}`", self.path.display())))
    }
}

fn open_lock(path: &Path) -> Result<File, StackError> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    file.map_err(doing(format!("opening `{}`", path.display())))
}

/// Creates a directory into which the user of the database server, if that is another one, can descend.
fn create_open_directory(path: &Path) -> Result<(), StackError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .map_err(doing(format!("creating `{}`", path.display())))
}

/// None if there is no state. Processes of an earlier boot are forgotten.
fn load(directory: &Path) -> Result<Option<State>, StackError> {
    let path = directory.join(STATE_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(doing(format!("reading `{}`", path.display()))(error)),
    };
    let mut state: State =
        serde_json::from_slice(&text).map_err(|source| StackError::State { path, source })?;
    let current = boot_id()?;
    if state.boot_id != current {
        state.boot_id = current;
        state.services.values_mut().for_each(|entry| entry.process = None);
    }
    Ok(Some(state))
}

/// Replaces the file in one step: readers take no lock.
fn save(directory: &Path, state: &State) -> Result<(), StackError> {
    let path = directory.join(STATE_FILE);
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer_pretty(&mut file, state)?;
        file.write_all(b"\n")?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(doing(format!("writing `{}`", path.display())))
}

/// The ports that the stacks of this root have, running or not.
fn ports_of_all(root: &Path) -> BTreeSet<u16> {
    // What cannot be read takes no port away: a choice is also tried by binding it.
    let entries = fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    let states = entries.filter_map(|entry| load(&entry.path()).ok().flatten());
    states
        .flat_map(|state| {
            state.services.into_values().flat_map(|entry| [Some(entry.port), entry.controller_port])
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ports_are_kept_and_never_shared_between_stacks() {
        let root = tempfile::tempdir().unwrap();
        let first = Ledger::create(root.path(), "first", &[Service::Redis]).unwrap();
        let port = first.entry(Service::Redis).unwrap().port;

        let again = Ledger::create(root.path(), "first", &Service::ALL).unwrap();
        assert_eq!(again.entry(Service::Redis).unwrap().port, port);
        assert_eq!(again.services(), Service::ALL);
        let second = Ledger::create(root.path(), "second", &Service::ALL).unwrap();
        assert_eq!(ports_of_all(root.path()).len(), 8);
        assert_ne!(second.entry(Service::Redis).unwrap().port, port);
    }

    #[test]
    fn a_recorded_process_is_on_disk_before_it_runs() {
        let root = tempfile::tempdir().unwrap();
        let ledger = Ledger::create(root.path(), "one", &[Service::Kafka]).unwrap();
        let process = Process { pid: 4_000_000, started_ticks: 1 };
        ledger.record(Service::Kafka, Some(process), true).unwrap();

        let entry =
            Ledger::open(root.path(), "one").unwrap().unwrap().entry(Service::Kafka).unwrap();
        assert_eq!((entry.process, entry.preparing), (Some(process), true));
        assert!(Ledger::open(root.path(), "other").unwrap().is_none());
    }

    #[test]
    fn processes_of_an_earlier_boot_are_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let text = r#"{"boot_id":"old","services":{"redis":{"port":20000,"process":{"pid":1,"started_ticks":1}}}}"#;
        fs::write(root.path().join(STATE_FILE), text).unwrap();
        let state = load(root.path()).unwrap().unwrap();
        assert_eq!(state.services[&Service::Redis].process, None);
        assert_eq!(state.services[&Service::Redis].port, 20_000);
    }

    #[test]
    fn a_foreign_state_file_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(STATE_FILE), "[]").unwrap();
        assert!(matches!(load(root.path()), Err(StackError::State { .. })));
    }

    #[tokio::test]
    async fn whoever_waited_for_a_removed_lock_gets_a_new_one() {
        let root = tempfile::tempdir().unwrap();
        let first =
            StackLock::take(root.path(), "one", || panic!("nobody else has it")).await.unwrap();
        let path = root.path().to_path_buf();
        let (blocked, waits) = std::sync::mpsc::channel();
        let second = tokio::spawn(async move {
            let second = StackLock::take(&path, "one", || blocked.send(()).unwrap()).await.unwrap();
            assert!(second.path.exists());
            second.remove().unwrap();
        });
        tokio::task::spawn_blocking(move || waits.recv_timeout(Duration::from_secs(10)).unwrap())
            .await
            .unwrap();
        first.remove().unwrap();
        second.await.unwrap();
        assert!(!root.path().join("one.lock").exists());
    }
}

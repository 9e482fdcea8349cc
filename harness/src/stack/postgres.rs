//! Postgres on TCP only, trusting whoever connects from this machine, with the database `chat`. It refuses to run as root,
//! so root runs it as the user `postgres`, who then owns its directory. Its data stays over a stop.

use super::error::{StackError, doing};
use super::places;
use super::process::{Launch, Process, wait_gone, working_in};
use super::site::Site;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Several gateways and workers, each with a pool.
const CONNECTIONS_MAX: &str = "max_connections=200";
/// How long processes of a killed server may take to notice.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(10);
/// The role that owns everything, whatever user the server runs as.
const ROLE: &str = "postgres";
const DATABASE: &str = "chat";

/// The program that is missing, with the Debian package that has it.
pub(super) fn lacking() -> Option<(&'static str, &'static str)> {
    if program("initdb").is_some() && program("psql").is_some() {
        None
    } else {
        Some(("postgres", "postgresql"))
    }
}

pub(super) async fn start(site: &Site<'_>) -> Result<Process, StackError> {
    let owner = owner().await?;
    site.prepare(initialise(site, owner)).await?;
    clear_lock(site).await?;
    let port = site.entry.port.to_string();
    let mut arguments = vec!["-D", "data", "-p", &port];
    // Sockets in the file system would need a directory that every user may write. Shared memory in files goes away with
    // the scratch directory even if the server is killed.
    let settings = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "dynamic_shared_memory_type=mmap",
        CONNECTIONS_MAX,
    ];
    arguments.extend(settings.iter().flat_map(|setting| ["-c", setting]));
    site.serve(Launch { owner, ..site.launch(&path("postgres")?, arguments) }).await
}

/// Creates the database, if it is not there yet. The server answers.
pub(super) async fn ensure_database(site: &Site<'_>) -> Result<(), StackError> {
    let exists =
        query(site, &format!("select 1 from pg_database where datname = '{DATABASE}'")).await?;
    if exists.trim().is_empty() {
        query(site, &format!("create database {DATABASE}")).await?;
    }
    Ok(())
}

async fn initialise(site: &Site<'_>, owner: Option<(u32, u32)>) -> Result<(), StackError> {
    if let Some((user, group)) = owner {
        let owning =
            || doing(format!("giving `{}` to the user `postgres`", site.directory.display()));
        chown(&site.directory, Some(user), Some(group)).map_err(owning())?;
    }
    let arguments = [
        "-D",
        "data",
        "-U",
        ROLE,
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--no-instructions",
    ];
    site.run(Launch { owner, ..site.launch(&path("initdb")?, arguments) }).await
}

/// Removes the lock file that a killed server left. Postgres does so by itself unless the pid in the file is taken, and a
/// zombie, which lasts as long as the parent does not care, takes it too. The file also guards against server processes that
/// have outlived their parent: so we wait until nobody works in the data directory any more.
async fn clear_lock(site: &Site<'_>) -> Result<(), StackError> {
    let data = site.directory.join("data");
    if !wait_gone(&working_in(&data), LEFTOVER_LIMIT).await.is_empty() {
        return Err(site.failed("processes of an earlier server are still there"));
    }
    let file = data.join("postmaster.pid");
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(doing(format!("removing `{}`", file.display()))(error))
        }
        _ => Ok(()),
    }
}

async fn query(site: &Site<'_>, statement: &str) -> Result<String, StackError> {
    let port = site.entry.port.to_string();
    let mut psql = Command::new(path("psql")?);
    psql.args([
        "-X",
        "-w",
        "-q",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-U",
        ROLE,
    ]);
    psql.args(["-d", "postgres", "-c", statement]).stdin(Stdio::null()).kill_on_drop(true);
    let output = psql.output().await.map_err(doing("running `psql`"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(site.failed(format!("`{statement}`: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// The user and group that the server runs as, if they are not ours.
async fn owner() -> Result<Option<(u32, u32)>, StackError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    match (id("-u").await, id("-g").await) {
        (Some(user), Some(group)) => Ok(Some((user, group))),
        _ => Err(StackError::Lacking {
            what: "Postgres does not run as root, and there is no user `postgres` to run it as"
                .into(),
            remedy: "adduser --system --group postgres".into(),
        }),
    }
}

async fn id(which: &str) -> Option<u32> {
    // Any failure means the same to the caller: there is no such user.
    let output =
        Command::new("id").args([which, "postgres"]).stdin(Stdio::null()).output().await.ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

fn path(name: &'static str) -> Result<PathBuf, StackError> {
    program(name).ok_or_else(|| StackError::Lacking {
        what: format!("`{name}` of Postgres is not installed"),
        remedy: "apt-get install postgresql".into(),
    })
}

/// Debian keeps the server's programs out of `PATH`, a directory for each version. The newest one is taken, so that all
/// come from the same.
pub fn program(name: &str) -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(Path::new("/usr/lib/postgresql"))
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, directory)| directory.join("postgres").is_file())
        .collect();
    versions.sort();
    let newest: Vec<PathBuf> = versions.pop().map(|(_, directory)| directory).into_iter().collect();
    newest
        .iter()
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .or_else(|| places::program(&[name], &[]))
}

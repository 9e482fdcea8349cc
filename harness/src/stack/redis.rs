//! `redis-server` (or `valkey-server`) without persistence: whatever it held is gone when it stops, as after the loss of a
//! cache.

use super::error::StackError;
use super::places;
use super::process::Process;
use super::site::Site;
use std::path::PathBuf;

/// The program that is missing, with the Debian package that has it.
pub(super) fn lacking() -> Option<(&'static str, &'static str)> {
    if server().is_some() { None } else { Some(("redis-server", "redis-server")) }
}

pub(super) async fn start(site: &Site<'_>) -> Result<Process, StackError> {
    site.empty_directory()?;
    let server = server().ok_or_else(|| StackError::Lacking {
        what: "`redis-server` is not installed".into(),
        remedy: "apt-get install redis-server".into(),
    })?;
    let port = site.entry.port.to_string();
    let arguments = [
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
    ];
    site.serve(site.launch(&server, arguments)).await
}

fn server() -> Option<PathBuf> {
    places::program(&["redis-server", "valkey-server"], &[])
}

//! The bundle of a failure: one folder with everything that somebody who was not there needs.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::versions::versions;
use crate::{
    contract::PRESENCE_KEY,
    deploy::Site,
    engine::redis_dump,
    history::{IdNames, Story},
    report,
    verdict::Run,
};

/// Most of a server's log: its end. Others use the same server, and it may have run for days.
const SERVER_LOG_BYTES_MAX: u64 = 256 * 1_024;

/// Where the logs of the servers ended when a scenario began.
pub(super) type Marks = BTreeMap<PathBuf, u64>;

/// Taken before a scenario begins.
pub(super) fn marks(site: &Site) -> Marks {
    let logs = site.deployment.iter().flat_map(|deployment| deployment.server_logs());
    // A log that is not there yet is all new.
    let long = |log: &Path| log.metadata().map_or(0, |it| it.len());
    logs.map(|log| (log.clone(), long(&log))).collect()
}

/// Writes it below `bundles`; where it is. `None`: it could not be written, which must not hide the failure itself.
pub(super) async fn write(
    run: &Run,
    site: &Site,
    marks: &Marks,
    round: usize,
    bundles: &Path,
) -> Option<PathBuf> {
    // `a-b.yaml` and `a/b.yaml` are two.
    let name = run.file.replace('/', "--");
    let name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_matches('-').trim_end_matches("-yaml");
    let directory = bundles.join(format!("{name}-{round}"));
    let redis = match (&run.redis_at_failure, &site.redis_url) {
        (Some(dump), _) => of_run(dump.clone(), run),
        (None, Some(url)) => redis_dump(url)
            .await
            .map_or_else(|error| json!({"error": error}), |dump| of_run(dump, run)),
        (None, None) => Value::Null,
    };
    let versions = versions(run, site).await;
    let (run, site, marks) = (run.clone(), site.clone(), marks.clone());
    // On a thread of its own: histories are long, and the clocks of other scenarios go on.
    let writing = tokio::task::spawn_blocking(move || {
        write_files(&run, &site, &marks, [&redis, &versions], &directory).ok().map(|()| directory)
    });
    writing.await.ok().flatten()
}

fn write_files(
    run: &Run,
    site: &Site,
    marks: &Marks,
    [redis, versions]: [&Value; 2],
    directory: &Path,
) -> io::Result<()> {
    // One of an earlier invocation.
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    fs::write(directory.join("report.txt"), report::plain(&report::in_full(run)))?;
    fs::write(directory.join("scenario.yaml"), &run.source)?;
    for (path, text) in &run.shared {
        let name = path.file_name().map(|it| it.to_string_lossy().into_owned());
        fs::write(directory.join(format!("shared-{}", name.unwrap_or_default())), text)?;
    }
    let mut history = String::new();
    for entry in run.history.entries() {
        history.push_str(&serde_json::to_string(entry)?);
        history.push('\n');
    }
    fs::write(directory.join("history.jsonl"), history)?;
    fs::write(directory.join("names.json"), serde_json::to_string_pretty(run.history.names())?)?;
    if !redis.is_null() {
        let names = IdNames::new(&run.history, &Story::read(&run.history));
        let dump = names.in_words(&serde_json::to_string_pretty(redis)?);
        fs::write(directory.join("redis.json"), dump)?;
    }
    fs::write(directory.join("versions.json"), serde_json::to_string_pretty(versions)?)?;
    let Some(deployment) = &site.deployment else { return Ok(()) };
    for entry in fs::read_dir(&deployment.directory)? {
        let path = entry?.path();
        if let Some(name) =
            path.file_name().filter(|_| path.extension().is_some_and(|it| it == "log"))
        {
            fs::copy(&path, directory.join(name))?;
        }
    }
    for (log, mark) in marks {
        // A server that was never started has written nothing.
        if let (Some(name), Ok(said)) = (log.file_name(), since(log, *mark)) {
            fs::write(directory.join(name), said)?;
        }
    }
    Ok(())
}

/// What was written to a log since it was so long, or the end of that.
fn since(log: &Path, mark: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let len = file.metadata()?.len();
    // A shorter one has begun anew.
    let begin = if len < mark { 0 } else { mark };
    file.seek(SeekFrom::Start(begin.max(len.saturating_sub(SERVER_LOG_BYTES_MAX))))?;
    let mut said = Vec::new();
    file.take(SERVER_LOG_BYTES_MAX).read_to_end(&mut said)?;
    Ok(said)
}

/// Of everything about presence what is this run's own: its people, and the leases, which belong to gateways.
fn of_run(mut dump: Value, run: &Run) -> Value {
    if let Some(keys) = dump.as_object_mut() {
        let is_ours = |key: &str| {
            let user = key.strip_prefix(PRESENCE_KEY);
            user.is_none_or(|id| run.history.names().contains_key(&id.to_lowercase()))
        };
        keys.retain(|key, _| is_ours(key));
    }
    dump
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_servers_log_the_end_is_kept_that_the_scenario_has_seen() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("kafka.log");
        fs::write(&log, "before, during").unwrap();
        assert_eq!(since(&log, 8).unwrap(), b"during");
        assert_eq!(since(&log, 99).unwrap(), b"before, during");
        let size = usize::try_from(SERVER_LOG_BYTES_MAX).unwrap() + 9;
        fs::write(&log, vec![b'x'; size]).unwrap();
        assert_eq!(since(&log, 3).unwrap().len(), size - 9);
        assert!(since(&folder.path().join("redis.log"), 0).is_err());
    }
}

//! The bundle of a failure: one folder with everything that somebody who was not there needs.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{deploy::Site, engine::redis_dump, report, stack::KAFKA_VERSION, verdict::Run};

/// Writes it below `bundles`; where it is. `None`: it could not be written, which must not hide the failure itself.
pub(super) async fn write(run: &Run, site: &Site, round: usize, bundles: &Path) -> Option<PathBuf> {
    let name: String =
        run.file.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_matches('-').trim_end_matches("-yaml");
    let directory = bundles.join(format!("{name}-{round}"));
    let redis = match &site.redis_url {
        Some(url) => redis_dump(url).await.unwrap_or_else(|error| json!({"error": error})),
        None => Value::Null,
    };
    write_files(run, site, &redis, &directory).ok().map(|()| directory)
}

fn write_files(run: &Run, site: &Site, redis: &Value, directory: &Path) -> io::Result<()> {
    // One of an earlier invocation.
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    fs::write(directory.join("report.txt"), report::plain(&report::in_full(run)))?;
    fs::write(directory.join("scenario.yaml"), &run.source)?;
    let mut history = String::new();
    for entry in run.history.entries() {
        history.push_str(&serde_json::to_string(entry)?);
        history.push('\n');
    }
    fs::write(directory.join("history.jsonl"), history)?;
    fs::write(directory.join("names.json"), serde_json::to_string_pretty(run.history.names())?)?;
    if !redis.is_null() {
        fs::write(directory.join("redis.json"), serde_json::to_string_pretty(redis)?)?;
    }
    fs::write(
        directory.join("versions.json"),
        serde_json::to_string_pretty(&versions(run, site))?,
    )?;
    let Some(deployment) = &site.deployment else { return Ok(()) };
    for entry in fs::read_dir(&deployment.directory)? {
        let path = entry?.path();
        if let Some(name) =
            path.file_name().filter(|_| path.extension().is_some_and(|it| it == "log"))
        {
            fs::copy(&path, directory.join(name))?;
        }
    }
    Ok(())
}

/// What ran, and how to run it again.
fn versions(run: &Run, site: &Site) -> Value {
    let settings: BTreeMap<String, String> =
        site.deployment.as_ref().map(|it| it.shape.settings.clone()).unwrap_or_default();
    json!({
        "harness": env!("CARGO_PKG_VERSION"),
        "kafka": site.kafka.as_ref().map(|_| KAFKA_VERSION),
        "gateways": site.gateways,
        "settings": settings,
        "seed": run.seed,
        "again": format!("harness run {} --seed {}", run.file, run.seed),
    })
}

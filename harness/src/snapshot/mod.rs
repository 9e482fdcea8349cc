//! Snapshots: what each device said and heard in a run, and what Redis says of presence at its end, with names instead of
//! ids, kept beside the fixture for people to review.
//!
//! Owns the texts and the files (in `insta`'s format). Refuses to judge: whoever reviews a change does.

mod file;
mod names;
mod redis;
mod transcript;

use std::path::{Path, PathBuf};

use crate::{
    scenario::{RedisKind, Scenario, TranscriptKind},
    verdict::Run,
};

pub use file::{Change, Pending, compare, difference, pending};

/// The subject of the snapshot of Redis.
const REDIS: &str = "redis";

/// What a run looked like, in one respect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The file that it is compared with.
    pub path: PathBuf,
    /// A device, or `redis`.
    pub subject: String,
    /// The scenario's file.
    pub source: String,
    pub text: String,
}

/// The snapshots that a scenario asks for, of a run of it that passed. Where no Redis was given there is none of it.
pub fn take(scenario: &Scenario, run: &Run) -> Vec<Taken> {
    let Some(wanted) = &scenario.snapshot else { return Vec::new() };
    let mut taken = Vec::new();
    if wanted.value.transcript == Some(TranscriptKind::PerDevice) {
        for (actor, devices) in &scenario.actors {
            for device in devices.value.keys() {
                let name = format!("{actor}.{device}");
                taken.push(one(run, &name, transcript::of(scenario, &run.history, &name)));
            }
        }
    }
    if wanted.value.redis == Some(RedisKind::Final)
        && let Some(dump) = &run.redis
    {
        taken.push(one(run, REDIS, redis::state(scenario, &run.history, dump)));
    }
    taken
}

fn one(run: &Run, subject: &str, text: String) -> Taken {
    let file = Path::new(&run.file);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // A `.yml` may stand beside a `.yaml` of the same name.
    let stem = name.strip_suffix(".yaml").unwrap_or(&name);
    let folder = file.parent().unwrap_or(Path::new("")).join("snapshots");
    Taken {
        path: folder.join(format!("{stem}@{subject}.snap")),
        subject: subject.to_owned(),
        source: run.file.clone(),
        text,
    }
}

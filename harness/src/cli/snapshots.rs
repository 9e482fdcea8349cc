//! Snapshots in `harness run`: compares what was taken with what was accepted, and shows each change once.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{FIXTURES, terminal::say};
use crate::{
    plural::counted,
    runner::Fixture,
    snapshot::{compare, difference, take},
    verdict::{Run, Verdict},
};

/// How many snapshots of the scenarios that passed are not the accepted ones. `is_written`: they wait for a review.
pub(super) fn keep(fixtures: &[Fixture], runs: &[Run], is_written: bool) -> anyhow::Result<usize> {
    let mut changed = BTreeSet::new();
    let mut shown = BTreeSet::new();
    for run in runs.iter().filter(|run| run.verdict == Verdict::Pass) {
        let Some(fixture) = fixtures.iter().find(|fixture| fixture.file == run.file) else {
            continue;
        };
        for taken in take(&fixture.scenario, run) {
            if changed.contains(&taken.path)
                && shown.contains(&(taken.path.clone(), taken.text.clone()))
            {
                continue;
            }
            // A later round that is as it should be must not hide an earlier one.
            let is_written = is_written && !changed.contains(&taken.path);
            let compared = compare(&taken, is_written);
            let change = compared.with_context(|| format!("keeping `{}`", taken.path.display()))?;
            if let Some(change) = change {
                say(&difference(&change))?;
                shown.insert((change.path.clone(), taken.text));
                changed.insert(change.path);
            }
        }
    }
    if !changed.is_empty() {
        let look = format!("look at them with `{}`", review(&changed));
        let next =
            if is_written { look } else { format!("run it where `CI` is not set, then {look}") };
        let verb = if changed.len() == 1 { "differs" } else { "differ" };
        let count = counted(changed.len(), "snapshot");
        say(&format!("{count} {verb} from what was accepted: {next}"))?;
    }
    Ok(changed.len())
}

/// The command that looks at these files: it names their folders unless it looks there by itself.
fn review(files: &BTreeSet<PathBuf>) -> String {
    let mut words = vec!["harness review".to_owned()];
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    if !folders.iter().all(|folder| folder.starts_with(FIXTURES)) {
        words.extend(folders.iter().map(|folder| folder.display().to_string()));
    }
    words.join(" ")
}

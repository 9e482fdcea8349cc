//! Snapshots in `harness run`: compares what was taken with what was accepted, and shows each change once.

use std::collections::BTreeSet;

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
        let folders: BTreeSet<String> = changed
            .iter()
            .filter_map(|path| Some(path.parent()?.display().to_string()))
            .filter(|folder| !folder.starts_with(FIXTURES))
            .collect();
        // Without a path it looks below `fixtures`.
        let review: Vec<String> =
            ["harness review".to_owned()].into_iter().chain(folders).collect();
        let look = format!("look at them with `{}`", review.join(" "));
        let next =
            if is_written { look } else { format!("run it where `CI` is not set, then {look}") };
        let verb = if changed.len() == 1 { "differs" } else { "differ" };
        let count = counted(changed.len(), "snapshot");
        say(&format!("{count} {verb} from what was accepted: {next}"))?;
    }
    Ok(changed.len())
}

//! What came of a run of scenarios: the failures, told in full, and the exit code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, bail};

use super::{FAILED, FLAKY, LACKING, SUCCESS, UNKNOWN, terminal::say};
use crate::{
    known::Known,
    report,
    verdict::{Run, Verdict},
};

/// The list of differences that a gateway is known to have.
pub(super) fn read_known(file: &Path) -> anyhow::Result<Known> {
    let text = fs::read_to_string(file).with_context(|| format!("reading `{}`", file.display()))?;
    let known: Known =
        serde_saphyr::from_str(&text).with_context(|| format!("reading `{}`", file.display()))?;
    if let Some(what) = known.says_anything() {
        bail!(
            "`{}`: what `{what}` says would be in any words: write some of its own",
            file.display()
        );
    }
    Ok(known)
}

/// The first failure of each file in full.
pub(super) fn tell_failures(runs: &[Run]) -> anyhow::Result<()> {
    let mut failures: BTreeMap<&str, usize> = BTreeMap::new();
    for run in runs.iter().filter(|run| is_explained(run)) {
        let count = failures.entry(&run.file).or_default();
        *count += 1;
        if *count > 1 {
            continue;
        }
        say(&report::in_full(run))?;
        if let Some(bundle) = &run.bundle {
            say(&format!("  everything that is known: {}\n", bundle.display()))?;
        }
    }
    for (file, count) in failures.iter().filter(|(_, count)| **count > 1) {
        let more =
            if *count == 2 { "once more".into() } else { format!("{} more times", count - 1) };
        say(&format!("{file} failed {more}: the reports hold each\n"))?;
    }
    Ok(())
}

/// Runs whose whole story is told.
fn is_explained(run: &Run) -> bool {
    matches!(run.verdict, Verdict::Fail | Verdict::Broken(_))
}

pub(super) fn exit_code(runs: &[Run]) -> u8 {
    let has = |word: &str| runs.iter().any(|run| run.verdict.word() == word);
    let of = |word: &str| -> BTreeSet<&str> {
        runs.iter().filter(|run| run.verdict.word() == word).map(|run| run.file.as_str()).collect()
    };
    // One that only ever fails is broken, not flaky.
    let (failed, passed) = (of("fail"), of("pass"));
    if failed.iter().any(|file| !passed.contains(file)) {
        FAILED
    } else if !failed.is_empty() {
        FLAKY
    } else if has("broken") {
        LACKING
    } else if has("unknown") || passed.is_empty() {
        UNKNOWN
    } else {
        SUCCESS
    }
}

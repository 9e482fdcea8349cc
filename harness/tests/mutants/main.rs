//! The proof that a green run means something: gateways that do one thing wrong (`examples/saboteur`) against the standard
//! fixtures. Each is caught, and the verdict names the rule that it breaks; the one that does nothing wrong passes.
//!
//! The saboteur and the gateway are built by `cargo test --workspace`; before `cargo test --test mutants` alone, run
//! `cargo build --workspace --bins --examples`.

#![expect(clippy::unwrap_used, reason = "clippy's leave for tests does not reach their helpers")]

mod table;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use futures_util::{StreamExt as _, stream};
use harness::{
    deploy::Servers,
    runner::{self, Event, Fixture, Options, Target, find},
    stack::{Stack, StackName},
    verdict::{Run, Verdict},
};
use tempfile::TempDir;
use tokio::sync::Notify;

use table::{Caught, EMBEDDED, REAL};

/// Mutants at once, and scenarios of each at once. Those on real servers have the machine for themselves, as their control has.
const EMBEDDED_AT_ONCE: usize = 6;
const REAL_AT_ONCE: usize = 1;
const JOBS: usize = 6;

/// Any will do: what is made up must not matter.
const SEED: u64 = 7;

#[test]
fn the_table_has_every_mutant() {
    let listed = Command::new(built("examples/saboteur")).arg("list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let listed: BTreeSet<&str> = listed.lines().filter(|name| *name != "control").collect();
    let judged: BTreeSet<&str> = EMBEDDED.iter().chain(REAL).map(|caught| caught.mutant).collect();
    assert_eq!(listed, judged);
    assert_eq!(EMBEDDED.len() + REAL.len(), judged.len(), "one is there twice");
    assert!(judged.len() >= 25);
}

/// One test, so that nothing else makes the machine busy. A control runs under the load of the mutants: what it stands is not
/// what they are caught by.
#[tokio::test]
async fn every_mutant_is_caught_and_what_does_nothing_wrong_passes() {
    let name: StackName = format!("mutants-{}", std::process::id()).parse().unwrap();
    let (place, fixtures) = (Place::new(), fixtures());
    let (mut missed, mut failed) = tokio::join!(
        place.missed(&Target::Embedded, EMBEDDED, EMBEDDED_AT_ONCE, &fixtures),
        place.all("control", Target::Embedded, &fixtures),
    );
    let servers = Servers::up(Stack::named(name), |_| {}).await.unwrap();
    let real = Target::Real(servers.clone());
    missed.extend(place.missed(&real, REAL, REAL_AT_ONCE, &fixtures).await);
    failed.extend(place.all("control", real, &fixtures).await);
    servers.stack.down(&|_| {}).await.unwrap();
    assert!(
        missed.is_empty() && failed.is_empty(),
        "missed:\n{}\nthe control failed:\n{}",
        missed.join("\n"),
        failed.join("\n")
    );
}

/// The standard fixtures.
fn fixtures() -> Vec<Fixture> {
    let found = find(&[root().join("fixtures")]).unwrap();
    assert!(found.broken.is_empty(), "{:?}", found.broken);
    found.fixtures
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A program beside the tests.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join(name);
    assert!(
        program.is_file(),
        "there is no `{}`: run `cargo build --workspace --bins --examples`",
        program.display()
    );
    program
}

/// Where saboteurs keep their names, and deployments their logs.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        built("gateway");
        Self(tempfile::tempdir().unwrap())
    }

    fn options(&self, mutant: &str, target: Target) -> Options {
        // The saboteur finds the gateway from where it is itself, and its name from the link.
        let place =
            self.0.path().join(if matches!(target, Target::Real(_)) { "real" } else { "embedded" });
        fs::create_dir_all(&place).unwrap();
        let program = place.join(format!("saboteur-{mutant}"));
        symlink(built("examples/saboteur"), &program).unwrap();
        let directory = place.join(mutant);
        Options {
            target,
            program,
            bundles: directory.join("failures"),
            directory,
            jobs: JOBS,
            seed: SEED,
            flags: Vec::new(),
            repeat: 1,
            is_fail_fast: false,
        }
    }

    /// Those of a table that nobody caught, or only for another reason.
    async fn missed(
        &self,
        target: &Target,
        table: &[Caught],
        at_once: usize,
        all: &[Fixture],
    ) -> Vec<String> {
        let judging = table.iter().map(|caught| self.judge(caught, target.clone(), all));
        stream::iter(judging)
            .buffer_unordered(at_once)
            .filter_map(async |missed| missed)
            .collect()
            .await
    }

    /// Runs all fixtures; what did not pass, with the reasons.
    async fn all(&self, mutant: &str, target: Target, fixtures: &[Fixture]) -> Vec<String> {
        let failed = RefCell::new(Vec::new());
        runner::run(fixtures, &self.options(mutant, target), &|event| {
            if let Event::Done { run, .. } = event
                && !matches!(run.verdict, Verdict::Pass | Verdict::Skipped(_))
            {
                failed.borrow_mut().push(harness::report::plain(&harness::report::in_full(&run)));
            }
        })
        .await;
        failed.into_inner()
    }

    /// Runs the fixtures that the table names until one of them names the right rule; what was seen if none does.
    async fn judge(&self, caught: &Caught, target: Target, all: &[Fixture]) -> Option<String> {
        let is_meant = |fixture: &&Fixture| {
            caught
                .folders
                .iter()
                .any(|folder| fixture.file.contains(&format!("fixtures/{folder}/")))
        };
        let fixtures: Vec<Fixture> = all.iter().filter(is_meant).cloned().collect();
        let specs: BTreeMap<&str, &str> = fixtures
            .iter()
            .filter_map(|it| Some((it.file.as_str(), it.scenario.spec.as_ref()?.value.as_str())))
            .collect();
        let (seen, found) = (RefCell::new(BTreeSet::new()), Notify::new());
        let options = self.options(caught.mutant, target);
        let on = |event: Event<'_>| {
            if let Event::Done { run, .. } = event {
                seen.borrow_mut().extend(rules(&run, &specs));
                if seen.borrow().iter().any(|rule| rule == caught.rule) {
                    found.notify_one();
                }
            }
        };
        let running = runner::run(&fixtures, &options, &on);
        // The rest would say the same.
        tokio::select! {
            () = running => {}
            () = found.notified() => {}
        }
        let seen = seen.into_inner();
        if seen.contains(caught.rule) {
            return None;
        }
        Some(format!("{}: {} expected, {seen:?} seen", caught.mutant, caught.rule))
    }
}

/// The rules that a run names: invariants, and its own rule if a step of it failed.
fn rules(run: &Run, specs: &BTreeMap<&str, &str>) -> Vec<String> {
    match &run.verdict {
        Verdict::Fail => {
            let own = specs.get(run.file.as_str()).filter(|_| !run.failures.is_empty());
            let invariants = run.findings.iter().map(|finding| finding.invariant);
            invariants.chain(own.copied()).map(str::to_owned).collect()
        }
        Verdict::Broken(reason) => vec![format!("broken: {reason}")],
        Verdict::Pass | Verdict::Unknown(_) | Verdict::Skipped(_) => Vec::new(),
    }
}

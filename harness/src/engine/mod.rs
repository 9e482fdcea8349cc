//! Runs a scenario, step by step, against a site, and judges what was seen.
//!
//! Owns the meaning of steps. Refuses to know reports: it returns a [`Run`].

mod acks;
mod connect;
mod device;
mod expect;
mod faults;
mod hearing;
mod looks;
mod observe;
mod partitioner;
mod presence;
mod publish;
mod reading;
mod records;
mod request;
mod rooms;
mod settle;
mod steps;
mod talk;
mod topics;
mod values;
mod world;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::json;
use tokio::time::timeout;

use crate::{
    check::{Finding, check},
    deploy::Site,
    history::{History, IdNames, Story},
    scenario::{Scenario, Spanned, Step},
    verdict::{Failure, Run, StepReport, Verdict},
};

pub use observe::redis_dump;
use steps::Running;
use world::World;

/// How long the steps of a scenario may take in all.
const RUN_LIMIT: Duration = Duration::from_mins(5);

/// How long it may take until everything that they broke runs again.
const MEND_LIMIT: Duration = Duration::from_mins(3);

/// What took too long, in the words of an error.
const MENDING: &str = "mending what the scenario broke";

/// Why a scenario could not be run: says nothing about the gateway.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the site has no gateway `{0}`")]
    NoGateway(String),
    #[error("preparing the scenario: {0}")]
    Setup(String),
    #[error("mending what the scenario broke: {0}")]
    Mend(String),
    #[error("{0} took longer than {limit} s", limit = .1.as_secs())]
    TooLong(&'static str, Duration),
}

/// Runs a scenario that passed `lint`. `source` is its text, `file` its name; `on_step` sees each step as it begins.
pub async fn run(
    file: &str,
    source: &str,
    scenario: &Scenario,
    site: Site,
    seed: u64,
    on_step: &dyn Fn(&str),
) -> Run {
    let mut run = Run { seed, ..Run::new(file, source, &scenario.scenario.value) };
    shared(&scenario.steps, &mut run.shared);
    let world = match World::new(scenario, site, seed) {
        Ok(world) => world,
        Err(error) => {
            run.verdict = Verdict::Broken(error.to_string());
            return run;
        }
    };
    let running = Running::new(&world, source, on_step);
    let outcome = run_in(&world, scenario, &running).await;
    if keeps_redis(scenario)
        && let Some(url) = &world.site.redis_url
    {
        // An error shows in the snapshot.
        let dump = redis_dump(url).await.unwrap_or_else(|error| json!({"error": error}));
        run.redis = Some(dump);
    }
    run.redis_at_failure = running.kept_redis();
    run.duration = world.recorder.now();
    let judged_steps = running.judged();
    let (steps, failures) = running.into_reports();
    let vacuous = (judged_steps == 0).then(|| says_nothing(&steps));
    run.steps = steps;
    let without = scenario.without.iter().map(|name| name.value.clone()).collect();
    match judged(&world, without, failures).await {
        Ok(judged) => (run.history, run.findings, run.failures) = judged,
        Err(error) => {
            run.verdict = Verdict::Broken(format!("judging what was seen: {error}"));
            return run;
        }
    }
    if matches!(outcome, Err(EngineError::Mend(_) | EngineError::TooLong(MENDING, _))) {
        // Nobody could wait for what was still to come.
        run.findings.retain(|finding| !finding.is_of_absence());
    }
    // What was seen stands, whatever became of the stack afterwards.
    let has_failed = !run.failures.is_empty() || !run.findings.is_empty();
    run.verdict = match outcome {
        _ if has_failed => Verdict::Fail,
        Err(error) => Verdict::Broken(error.to_string()),
        Ok(()) => vacuous.map_or(Verdict::Pass, Verdict::Unknown),
    };
    run
}

/// The history, what is wrong with it, and the failures with names instead of ids. On a thread of its own: the clocks of
/// other scenarios go on.
async fn judged(
    world: &World,
    without: Vec<String>,
    mut failures: Vec<Failure>,
) -> Result<(History, Vec<Finding>, Vec<Failure>), tokio::task::JoinError> {
    let history = world.recorder.history();
    let (times, ours) = (world.times, world.site.deployment.as_ref().map(|_| world.ours));
    let judging = tokio::task::spawn_blocking(move || {
        let without: Vec<&str> = without.iter().map(String::as_str).collect();
        let findings = check(&history, &without, times, ours);
        if !failures.is_empty() {
            let names = IdNames::new(&history, &Story::read(&history));
            for failure in &mut failures {
                failure.expected = names.in_words(&failure.expected);
                failure.seen = names.in_words(&failure.seen);
            }
        }
        (history, findings, failures)
    });
    judging.await
}

/// Why a run of which no step could have failed says nothing.
fn says_nothing(steps: &[StepReport]) -> String {
    let vacuous = steps.iter().find_map(|step| Some((step.line, step.vacuous.as_ref()?)));
    vacuous.map_or_else(
        || "no step says what must be seen".to_owned(),
        |(line, reason)| format!("no step could have failed: in line {line}, {reason}"),
    )
}

/// The files of steps that these use, and those that they use.
fn shared(steps: &[Spanned<Step>], files: &mut BTreeMap<PathBuf, String>) {
    for step in steps {
        if let Step::Use(used) = &step.value {
            files.insert(PathBuf::from(&used.path), used.source.clone());
        }
        for block in step.value.blocks() {
            shared(block, files);
        }
    }
}

fn keeps_redis(scenario: &Scenario) -> bool {
    scenario.snapshot.as_ref().is_some_and(|snapshot| snapshot.value.redis.is_some())
}

/// Whatever becomes of the steps, what they broke is mended.
async fn run_in(
    world: &World,
    scenario: &Scenario,
    running: &Running<'_>,
) -> Result<(), EngineError> {
    world.make_rooms(scenario).await?;
    let watching = presence::watch(world);
    let rest = async {
        // Which step has failed stands in the report; what was seen so far is judged all the same.
        let steps = timeout(RUN_LIMIT, running.all(&scenario.steps)).await;
        if steps != Ok(true) {
            running.keep_redis().await;
            settle::aftermath().await;
        }
        let mended = timeout(MEND_LIMIT, settle::mend(world)).await;
        mended.unwrap_or(Err(EngineError::TooLong(MENDING, MEND_LIMIT)))?;
        // Steps that took too long say nothing about what is missing now.
        settle::settle(world, steps != Ok(false)).await;
        steps.map(drop).map_err(|_| EngineError::TooLong("the steps", RUN_LIMIT))
    };
    tokio::select! {
        outcome = rest => outcome,
        () = watching => Ok(()),
    }
}

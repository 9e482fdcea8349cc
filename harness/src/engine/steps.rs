//! Steps, one after the other, with a report of each.

use std::{
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use super::{observe::redis_dump, world::World};
use crate::{
    history::What,
    scenario::{Place, Repeat, Spanned, Step},
    verdict::{Failure, Margin, SharedPlace, StepOutcome, StepReport},
};

/// What a step that was true says beside that, if anything.
pub(super) type StepResult = Result<Option<Aside>, Failure>;

/// What is worth knowing of a step that was true.
#[derive(Debug)]
pub(super) enum Aside {
    /// How much of its time it took.
    Margin(Margin),
    /// Why it was true whatever the gateway did.
    Vacuous(String),
}

/// The steps of a run while they run.
pub(super) struct Running<'w> {
    pub(super) world: &'w World,
    source: &'w str,
    on_step: &'w dyn Fn(&str),
    reports: Mutex<Reports>,
    judged: AtomicUsize,
}

/// What steps stand in.
#[derive(Clone, Copy, Default)]
struct Within<'s> {
    used: Option<Used<'s>>,
    /// ` (in round 2 of 3)`, for who reads that one of them failed.
    round: &'s str,
}

/// A shared file whose steps run.
#[derive(Clone, Copy)]
struct Used<'s> {
    /// Where the scenario uses it, in the scenario's own file.
    line: u64,
    path: &'s str,
    /// Its text, with the parameters in it.
    source: &'s str,
}

#[derive(Default)]
struct Reports {
    steps: Vec<StepReport>,
    failures: Vec<Failure>,
    redis: Option<Value>,
}

impl<'w> Running<'w> {
    pub(super) fn new(world: &'w World, source: &'w str, on_step: &'w dyn Fn(&str)) -> Self {
        Self { world, source, on_step, reports: Mutex::default(), judged: AtomicUsize::new(0) }
    }

    /// Runs them in order, until one fails; whether all were true.
    pub(super) async fn all(&self, steps: &[Spanned<Step>]) -> bool {
        self.all_of(steps, Within::default()).await
    }

    /// What Redis holds while a step has just failed, for who looks into it later.
    pub(super) async fn keep_redis(&self) {
        if let Some(url) = &self.world.site.redis_url {
            let dump = redis_dump(url).await.unwrap_or_else(|error| json!({"error": error}));
            self.lock().redis = Some(dump);
        }
    }

    pub(super) fn kept_redis(&self) -> Option<Value> {
        self.lock().redis.clone()
    }

    /// How many things were looked at that could have been otherwise.
    pub(super) fn judged(&self) -> usize {
        self.judged.load(Ordering::Relaxed)
    }

    pub(super) fn into_reports(self) -> (Vec<StepReport>, Vec<Failure>) {
        let reports = self.reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        (reports.steps, reports.failures)
    }

    /// Something was looked at that could have been otherwise.
    pub(super) fn judge(&self) {
        self.judged.fetch_add(1, Ordering::Relaxed);
    }

    async fn all_of(&self, steps: &[Spanned<Step>], within: Within<'_>) -> bool {
        for step in steps {
            if !self.one(step, within).await {
                return false;
            }
        }
        true
    }

    fn one<'s>(
        &'s self,
        step: &'s Spanned<Step>,
        within: Within<'s>,
    ) -> Pin<Box<dyn Future<Output = bool> + 's>> {
        Box::pin(async move {
            if let Step::Parallel(parallel) = &step.value {
                let blocks = parallel.0.iter().map(|block| self.all_of(block, within));
                return futures_util::future::join_all(blocks).await.into_iter().all(|it| it);
            }
            if let Step::Repeat(repeat) = &step.value {
                return self.rounds(repeat, within).await;
            }
            if let Step::Use(shared) = &step.value {
                // Of files that use each other the innermost says which step it is.
                let line = within.used.map_or(Place::from(step).line, |used| used.line);
                let used = Some(Used { line, path: &shared.path, source: &shared.source });
                return self.all_of(&shared.steps, Within { used, ..within }).await;
            }
            self.plain(step, within).await
        })
    }

    async fn rounds(&self, repeat: &Repeat, within: Within<'_>) -> bool {
        let times = repeat.times.value;
        for round in 1..=times {
            let round = format!(" (in round {round} of {times}){}", within.round);
            if !self.all_of(&repeat.steps, Within { round: &round, ..within }).await {
                return false;
            }
        }
        true
    }

    async fn plain(&self, step: &Spanned<Step>, Within { used, round }: Within<'_>) -> bool {
        let recorder = &self.world.recorder;
        let own = Place::from(step).line;
        let text = text_of(used.map_or(self.source, |used| used.source), own, &step.value);
        let line = used.map_or(own, |used| used.line);
        let shared = used.map(|used| SharedPlace { file: used.path.to_owned(), line: own });
        let from = recorder.now();
        (self.on_step)(&text);
        recorder.push(What::Step { line, text: text.clone() });
        let result = self.run(&step.value).await;
        let to = recorder.now();
        let (outcome, aside, failure) = match result {
            Ok(aside) => (StepOutcome::Done, aside, None),
            Err(failure) => (StepOutcome::Failed, None, Some(failure)),
        };
        let (margin, vacuous) = match aside {
            Some(Aside::Margin(margin)) => (Some(margin), None),
            Some(Aside::Vacuous(reason)) => (None, Some(reason)),
            None => (None, None),
        };
        let is_done = failure.is_none();
        let mut reports = self.lock();
        let (place, written) = (shared.clone(), text.clone());
        let failure = failure.map(|it| {
            let expected = format!("{}{round}", it.expected);
            Failure { line, shared: place, step: written, at: to, expected, ..it }
        });
        reports.failures.extend(failure);
        let report = StepReport { line, shared, text, from, to, outcome, margin, vacuous };
        reports.steps.push(report);
        is_done
    }

    async fn run(&self, step: &Step) -> StepResult {
        match step {
            Step::Connect(connect) => self.connect(connect).await,
            Step::Disconnect(who) => self.disconnect(&who.value).await,
            Step::Join(join) => self.join("joinRoom", join).await,
            Step::Leave(leave) => self.join("leaveRoom", leave).await,
            Step::Send(send) => self.send(send).await,
            Step::Heartbeat(who) => self.heartbeat(&who.value).await,
            Step::Raw(raw) => self.raw(raw).await,
            Step::Wait(wait) => self.wait(wait).await,
            Step::Request(request) => self.request(request).await,
            Step::Expect(expect) => self.expect(expect).await,
            Step::Deliver(deliver) => self.deliver(deliver).await,
            Step::Never(never) => self.never(never).await,
            Step::Crash(crash) => self.crash(crash).await,
            Step::Network(network) => self.network(network).await,
            Step::Stop(ending) => self.stop(ending).await,
            Step::Start(what) => self.start(&what.value).await,
            Step::Freeze(what) => self.freeze(&what.value).await,
            Step::Thaw(what) => self.thaw(&what.value).await,
            Step::Restart(ending) => self.restart(ending).await,
            Step::RollingRestart(ending) => self.rolling_restart(ending).await,
            Step::Publish(publish) => self.publish(publish).await,
            Step::Parallel(_) | Step::Repeat(_) | Step::Use(_) => Ok(None), // Steps of their own.
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A step as it is written, without its dash, or its two in a `parallel`.
fn text_of(source: &str, line: u64, step: &Step) -> String {
    let index = usize::try_from(line).unwrap_or(0);
    let written = index.checked_sub(1).and_then(|index| source.lines().nth(index));
    let written = written.unwrap_or_default().trim_start().trim_start_matches("- ").trim();
    if written.is_empty() { step.verb().to_owned() } else { written.to_owned() }
}

/// A failure in two sentences. The rest is filled in by who knows the line.
pub(super) fn wrong(expected: impl Into<String>, seen: impl Into<String>) -> Failure {
    Failure { expected: expected.into(), seen: seen.into(), ..Failure::default() }
}

//! Steps, one after the other, with a report of each.

use std::{
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::world::World;
use crate::{
    history::What,
    scenario::{Place, Spanned, Step},
    verdict::{Failure, Margin, StepOutcome, StepReport},
};

/// What a step that was true says: how much of its time it took, if it had one.
pub(super) type StepResult = Result<Option<Margin>, Failure>;

/// The steps of a run while they run.
pub(super) struct Running<'w> {
    pub(super) world: &'w World,
    source: &'w str,
    on_step: &'w dyn Fn(&str),
    reports: Mutex<Reports>,
    judged: AtomicUsize,
}

#[derive(Default)]
struct Reports {
    steps: Vec<StepReport>,
    failures: Vec<Failure>,
    vacuous: Option<String>,
}

impl<'w> Running<'w> {
    pub(super) fn new(world: &'w World, source: &'w str, on_step: &'w dyn Fn(&str)) -> Self {
        Self { world, source, on_step, reports: Mutex::default(), judged: AtomicUsize::new(0) }
    }

    /// Runs them in order, until one fails; whether all were true.
    pub(super) async fn all(&self, steps: &[Spanned<Step>]) -> bool {
        for step in steps {
            if !self.one(step, None).await {
                return false;
            }
        }
        true
    }

    /// How many things were looked at that could have been otherwise.
    pub(super) fn judged(&self) -> usize {
        self.judged.load(Ordering::Relaxed)
    }

    /// Why the verdict says nothing, if a step was true only because nothing happened.
    pub(super) fn vacuous(&self) -> Option<String> {
        self.lock().vacuous.clone()
    }

    pub(super) fn into_reports(self) -> (Vec<StepReport>, Vec<Failure>) {
        let reports = self.reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        (reports.steps, reports.failures)
    }

    /// Something was looked at that could have been otherwise.
    pub(super) fn judge(&self) {
        self.judged.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_vacuous(&self, reason: String) {
        self.lock().vacuous.get_or_insert(reason);
    }

    /// `line`: where a shared step was used.
    fn one<'s>(
        &'s self,
        step: &'s Spanned<Step>,
        line: Option<u64>,
    ) -> Pin<Box<dyn Future<Output = bool> + 's>> {
        Box::pin(async move {
            let line = line.unwrap_or_else(|| Place::from(step).line);
            if let Step::Parallel(parallel) = &step.value {
                let blocks = parallel.0.iter().map(|block| self.all(block));
                return futures_util::future::join_all(blocks).await.into_iter().all(|it| it);
            }
            if let Step::Repeat(repeat) = &step.value {
                for _ in 0..repeat.times.value {
                    if !self.all(&repeat.steps).await {
                        return false;
                    }
                }
                return true;
            }
            if let Step::Use(shared) = &step.value {
                for step in &shared.steps {
                    if !self.one(step, Some(line)).await {
                        return false;
                    }
                }
                return true;
            }
            self.plain(&step.value, line).await
        })
    }

    async fn plain(&self, step: &Step, line: u64) -> bool {
        let recorder = &self.world.recorder;
        let text = self.text_of(line, step);
        let from = recorder.now();
        (self.on_step)(&text);
        recorder.push(What::Step { line, text: text.clone() });
        let result = self.run(step).await;
        let to = recorder.now();
        let (outcome, margin, failure) = match result {
            Ok(margin) => (StepOutcome::Done, margin, None),
            Err(failure) => (StepOutcome::Failed, None, Some(failure)),
        };
        let is_done = failure.is_none();
        let mut reports = self.lock();
        let failure = failure.map(|it| Failure { line, step: text.clone(), at: to, ..it });
        reports.failures.extend(failure);
        reports.steps.push(StepReport { line, text, from, to, outcome, margin });
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

    /// A step as it is written, without its dash.
    fn text_of(&self, line: u64, step: &Step) -> String {
        let index = usize::try_from(line).unwrap_or(0);
        let written = index.checked_sub(1).and_then(|index| self.source.lines().nth(index));
        let written = written.unwrap_or_default().trim_start();
        let written = written.strip_prefix("- ").unwrap_or(written).trim();
        if written.is_empty() { step.verb().to_owned() } else { written.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failure in two sentences. The rest is filled in by who knows the line.
pub(super) fn wrong(expected: impl Into<String>, seen: impl Into<String>) -> Failure {
    Failure { expected: expected.into(), seen: seen.into(), ..Failure::default() }
}

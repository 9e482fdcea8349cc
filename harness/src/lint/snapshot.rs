//! Whether a snapshot can ever be the same twice.

use serde_json::Value;

use super::Linter;
use crate::scenario::{Backends, Generator, Spanned, Step};

impl Linter<'_> {
    pub(super) fn snapshot(&mut self) {
        let scenario = self.scenario;
        let Some(snapshot) = &scenario.snapshot else { return };
        if snapshot.value.transcript.is_none() && snapshot.value.redis.is_none() {
            let problem = self.problem(snapshot, "nothing is kept for review here");
            self.report(problem.with_help("write `snapshot: { transcript: per-device }`"));
        }
        if snapshot.value.redis.is_some() && scenario.stack.backends == Backends::Embedded {
            let problem = self.problem(snapshot, "an embedded gateway has no Redis");
            self.report(problem.with_help("write `snapshot: { transcript: per-device }`"));
        }
        if snapshot.value.transcript.is_some()
            && let Some(step) = making_up(&scenario.steps)
        {
            let text =
                "a made-up payload differs in each run, so no transcript is like the one before";
            let problem = self.problem(step, text);
            self.report(problem.with_help("write the payload out, or leave `snapshot` out"));
        }
    }
}

/// A step whose payload is made up.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "no other step has a payload or steps of its own"
)]
fn making_up(steps: &[Spanned<Step>]) -> Option<&Spanned<Step>> {
    let is_made_up = |payload: &Option<Spanned<Value>>| {
        payload.as_ref().is_some_and(|payload| has_made_up(&payload.value))
    };
    steps.iter().find_map(|step| match &step.value {
        Step::Send(send) if is_made_up(&send.payload) => Some(step),
        Step::Join(join) | Step::Leave(join) if is_made_up(&join.payload) => Some(step),
        Step::Parallel(parallel) => parallel.0.iter().find_map(|block| making_up(block)),
        Step::Repeat(repeat) => making_up(&repeat.steps),
        Step::Use(shared) => making_up(&shared.steps).map(|_| step),
        _ => None,
    })
}

fn has_made_up(value: &Value) -> bool {
    match value {
        Value::String(text) => Generator::named(text).is_some(),
        Value::Array(items) => items.iter().any(has_made_up),
        Value::Object(fields) => fields.values().any(has_made_up),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

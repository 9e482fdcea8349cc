//! Runs for programs: one JSON object a line and run. Times are seconds since the run began, lengths of time are seconds.
//! The page reads the same records.

use std::{path::Path, time::Duration};

use serde::Serialize;

use super::{
    explain,
    found::{step_at, story},
};
use crate::{
    check::Finding,
    history::in_seconds,
    verdict::{Failure, Run, StepOutcome, StepReport},
};

/// A length of time.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Seconds(#[serde(serialize_with = "in_seconds")] pub(super) Duration);

/// A run, whole but for its history, which the bundle of a failure holds.
#[derive(Debug, Serialize)]
struct Record<'r> {
    file: &'r str,
    scenario: &'r str,
    verdict: &'static str,
    reason: &'r str,
    seed: u64,
    duration: Seconds,
    steps: Vec<Step<'r>>,
    failures: Vec<Failed<'r>>,
    findings: Vec<Found<'r>>,
    bundle: Option<&'r Path>,
}

#[derive(Debug, Serialize)]
pub(super) struct Step<'r> {
    line: u64,
    /// Its file and line, if the step at `line` uses a shared file.
    shared: Option<String>,
    text: &'r str,
    from: Seconds,
    to: Seconds,
    outcome: &'static str,
    margin: Option<Margin>,
    /// Why it was true whatever the gateway did, if it was.
    vacuous: Option<&'r str>,
}

#[derive(Debug, Serialize)]
struct Margin {
    used: Seconds,
    limit: Seconds,
    tight: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Failed<'r> {
    line: u64,
    shared: Option<String>,
    step: &'r str,
    expected: &'r str,
    seen: &'r str,
    late: Option<Seconds>,
    about: &'r [String],
    at: Seconds,
    /// What led to it, in sentences.
    explained: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Found<'r> {
    invariant: &'static str,
    at: Seconds,
    text: &'r str,
    /// The step that ran then: its line, its place if it is shared, and its text.
    line: Option<u64>,
    shared: Option<String>,
    step: Option<&'r str>,
    /// What happened around it, in sentences; of the first one only.
    explained: Vec<String>,
}

/// All runs, a line each.
pub fn json_lines(runs: &[Run]) -> serde_json::Result<String> {
    let mut lines = String::new();
    for run in runs {
        lines.push_str(&serde_json::to_string(&Record::of(run))?);
        lines.push('\n');
    }
    Ok(lines)
}

impl<'r> Record<'r> {
    fn of(run: &'r Run) -> Self {
        Self {
            file: &run.file,
            scenario: &run.scenario,
            verdict: run.verdict.word(),
            reason: run.verdict.reason(),
            seed: run.seed,
            duration: Seconds(run.duration),
            steps: steps(run),
            failures: failures(run),
            findings: findings(run),
            bundle: run.bundle.as_deref(),
        }
    }
}

pub(super) fn steps(run: &Run) -> Vec<Step<'_>> {
    run.steps.iter().map(Step::of).collect()
}

pub(super) fn failures(run: &Run) -> Vec<Failed<'_>> {
    run.failures.iter().map(|failure| Failed::of(run, failure)).collect()
}

pub(super) fn findings(run: &Run) -> Vec<Found<'_>> {
    let mut findings: Vec<Found<'_>> = run.findings.iter().map(|it| Found::of(run, it)).collect();
    if let (Some(found), Some(finding)) = (findings.first_mut(), run.findings.first()) {
        found.explained = story(run, finding).0;
    }
    findings
}

impl<'r> Found<'r> {
    fn of(run: &'r Run, finding: &'r Finding) -> Self {
        let step = step_at(run, finding.at);
        Self {
            invariant: finding.invariant,
            at: Seconds(finding.at),
            text: &finding.text,
            line: step.map(|step| step.line),
            shared: step.and_then(|step| step.shared.as_ref()).map(ToString::to_string),
            step: step.map(|step| step.text.as_str()),
            explained: Vec::new(),
        }
    }
}

impl<'r> Step<'r> {
    fn of(step: &'r StepReport) -> Self {
        let margin = step.margin.map(|margin| Margin {
            used: Seconds(margin.used),
            limit: Seconds(margin.limit),
            tight: margin.is_tight(),
        });
        let outcome = match step.outcome {
            StepOutcome::Done => "done",
            StepOutcome::Failed => "failed",
        };
        let StepReport { line, text, from, to, .. } = step;
        let shared = step.shared.as_ref().map(ToString::to_string);
        let (from, to, vacuous) = (Seconds(*from), Seconds(*to), step.vacuous.as_deref());
        Self { line: *line, shared, text, from, to, outcome, margin, vacuous }
    }
}

impl<'r> Failed<'r> {
    fn of(run: &Run, failure: &'r Failure) -> Self {
        Self {
            line: failure.line,
            shared: failure.shared.as_ref().map(ToString::to_string),
            step: &failure.step,
            expected: &failure.expected,
            seen: &failure.seen,
            late: failure.late.map(Seconds),
            about: &failure.about,
            at: Seconds(failure.at),
            explained: explain(run, failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::verdict::{Margin, Verdict};

    #[test]
    fn a_run_is_one_line_whatever_it_says() {
        let mut run = Run::new("a.yaml", "", "two\nlines");
        run.verdict = Verdict::Skipped("no\u{2028}Redis".to_owned());
        let lines = json_lines(&[run.clone(), run]).unwrap();
        assert_eq!(lines.lines().count(), 2);
        let read: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(read["scenario"], "two\nlines");
        assert_eq!(read["verdict"], "skipped");
        assert_eq!(read["reason"], "no\u{2028}Redis");
        assert_eq!(read["bundle"], Value::Null);
    }

    #[test]
    fn times_are_seconds() {
        let mut run = Run::new("a.yaml", "", "a scenario");
        let (used, limit) = (Duration::from_micros(1_900_001), Duration::from_secs(2));
        run.steps.push(StepReport {
            line: 7,
            shared: None,
            text: "expect: it".to_owned(),
            from: Duration::from_millis(10),
            to: Duration::from_millis(1_910),
            outcome: StepOutcome::Failed,
            margin: Some(Margin { used, limit }),
            vacuous: None,
        });
        let late = Some(Duration::from_millis(5));
        run.failures.push(Failure { line: 7, limit: Some(limit), late, ..Failure::default() });
        let text = "lost".to_owned();
        run.findings.push(Finding { invariant: "nothing-lost", at: limit / 2, text });
        let read: Value = serde_json::from_str(&json_lines(&[run]).unwrap()).unwrap();
        let margin = json!({"used": 1.900_001, "limit": 2.0, "tight": true});
        assert_eq!(
            read["steps"][0],
            json!({"line": 7, "shared": null, "text": "expect: it", "from": 0.01, "to": 1.91, "outcome": "failed", "margin": margin, "vacuous": null})
        );
        assert_eq!(read["failures"][0]["late"], 0.005);
        assert_eq!(read["failures"][0]["explained"], json!(["your limit was 2.00 s: 5 ms late"]));
        assert_eq!(
            read["findings"],
            json!([{"invariant": "nothing-lost", "at": 1.0, "text": "lost", "line": 7, "shared": null, "step": "expect: it", "explained": []}])
        );
    }
}

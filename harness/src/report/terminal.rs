//! Runs on a terminal: one line for each, a failure in full, and the sum of all.

use std::{collections::BTreeMap, fmt::Write as _};

use anstyle::{AnsiColor, Style};

use super::{
    explain,
    found::{step_at, story},
    sequence,
};
use crate::{
    history::{moment, shown},
    known::Comparison,
    scenario::INVARIANTS,
    verdict::{Failure, Margin, Run, SharedPlace, StepOutcome, StepReport, Verdict},
};

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Most findings of one invariant that are told in full.
const FINDINGS_MAX: usize = 5;

/// `is_whole`: with every step. One line: the verdict, the time, the file, what it shows, and the reason where the word alone does not say it. A line
/// more for each step that used over four fifths of its time, or was true whatever the gateway did.
pub fn headline(run: &Run, is_whole: bool) -> String {
    let style = match run.verdict {
        Verdict::Pass => GREEN,
        Verdict::Fail | Verdict::Broken(_) => RED,
        Verdict::Unknown(_) | Verdict::Skipped(_) => YELLOW,
    };
    let word = run.verdict.word();
    let is_run = !matches!(run.verdict, Verdict::Skipped(_));
    let time = if is_run { moment(run.duration) } else { String::new() };
    let Run { file, scenario, .. } = run;
    let mut line = format!("{style}{word:<8}{style:#}{time:>8}  {file}  {DIM}{scenario}{DIM:#}");
    let reason = run.verdict.reason();
    if !reason.is_empty() {
        write(&mut line, format_args!("\n                  {reason}"));
    }
    for step in &run.steps {
        let is_tight = step.margin.is_some_and(Margin::is_tight);
        if is_tight || step.vacuous.is_some() || is_whole {
            let mark =
                if is_tight { "tight" } else { step.vacuous.as_ref().map_or("", |_| "empty") };
            write(
                &mut line,
                format_args!("\n            {YELLOW}{mark:<5}{YELLOW:#} {}", in_margin(step)),
            );
        }
    }
    line
}

/// Everything about a run that is not green: its steps, what was expected and seen, what led to it, the diagram.
pub fn in_full(run: &Run) -> String {
    let mut text = format!("{RED}{BOLD}{}{BOLD:#}{RED:#}  {}\n", run.file, run.scenario);
    for step in &run.steps {
        let mark = match step.outcome {
            StepOutcome::Done => format!("{GREEN}✓{GREEN:#}"),
            StepOutcome::Failed => format!("{RED}✗{RED:#}"),
        };
        write(&mut text, format_args!("  {mark} {}\n", in_margin(step)));
    }
    for failure in &run.failures {
        text.push_str(&failed_step(run, failure));
    }
    for (name, rule) in INVARIANTS {
        text.push_str(&broken_invariant(run, name, rule));
    }
    write(&mut text, format_args!("\n  again: {}\n", run.again()));
    text
}

/// What breaks an invariant: the first finding with its step and, if it is the first of the run, its story; the next few,
/// and how many more there are.
fn broken_invariant(run: &Run, name: &str, rule: &str) -> String {
    let mut findings = run.findings.iter().filter(|it| it.invariant == name);
    let mut text = String::new();
    let Some(first) = findings.next() else { return text };
    write(&mut text, format_args!("\n  {RED}{name}{RED:#}: {rule}\n    {}\n", first.text));
    let at = moment(first.at);
    match step_at(run, first.at) {
        Some(step) => {
            write(&mut text, format_args!("    at {at}, in this step:\n"));
            for line in place(run, step.line, step.shared.as_ref(), &step.text).lines() {
                write(&mut text, format_args!("    {line}\n"));
            }
        }
        None => write(&mut text, format_args!("    at {at}, when no step ran\n")),
    }
    if run.findings.first().is_some_and(|it| std::ptr::eq(it, first)) {
        let (sentences, diagram) = story(run, first);
        text.push_str(&told(&sentences, &diagram));
    }
    let others: Vec<_> = findings.collect();
    if !others.is_empty() {
        write(&mut text, format_args!("\n    {BOLD}also{BOLD:#}\n"));
    }
    for finding in others.iter().take(FINDINGS_MAX - 1) {
        write(&mut text, format_args!("      {}\n", finding.text));
    }
    let more = (others.len() + 1).saturating_sub(FINDINGS_MAX);
    if more > 0 {
        write(&mut text, format_args!("      and {more} more\n"));
    }
    text
}

fn failed_step(run: &Run, failure: &Failure) -> String {
    let Failure { line, shared, step, expected, seen, .. } = failure;
    let mut text = format!("\n{}", place(run, *line, shared.as_ref(), step));
    write(
        &mut text,
        format_args!(
            "    {BOLD}expected{BOLD:#}  {expected}\n    {BOLD}seen{BOLD:#}      {RED}{seen}{RED:#}\n"
        ),
    );
    text.push_str(&told(&explain(run, failure), &sequence(run, failure)));
    text
}

/// A step where it is written, and where it is used if it stands in a shared file.
fn place(run: &Run, line: u64, shared: Option<&SharedPlace>, step: &str) -> String {
    let own = format!("{}:{line}", run.file);
    let (place, used, line) = match shared {
        Some(shared) => (shared.to_string(), format!(", used by {own}"), shared.line),
        None => (own, String::new(), line),
    };
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    format!("  {BOLD}{place}{BOLD:#}{used}\n  {margin} |\n  {number} | {step}\n  {margin} |\n")
}

/// What happened, in sentences and as a diagram.
fn told(sentences: &[String], diagram: &[String]) -> String {
    let mut text = String::new();
    if !sentences.is_empty() {
        write(&mut text, format_args!("\n    {BOLD}what happened{BOLD:#}\n"));
    }
    for sentence in sentences {
        write(&mut text, format_args!("      {sentence}\n"));
    }
    if !diagram.is_empty() {
        text.push('\n');
    }
    for row in diagram {
        write(&mut text, format_args!("    {row}\n"));
    }
    text
}

/// A step with its place and how much of its time it took.
fn in_margin(step: &StepReport) -> String {
    let StepReport { line, shared, text, margin, vacuous, from, to, .. } = step;
    let place = shared.as_ref().map(|shared| format!("{shared}  ")).unwrap_or_default();
    let took = match margin {
        Some(margin) => {
            let percent = margin.used.as_millis() * 100 / margin.limit.as_millis().max(1);
            format!("{} of {}, {percent} %", shown(margin.used), shown(margin.limit))
        }
        None => shown(to.saturating_sub(*from)),
    };
    let why = vacuous.as_ref().map(|why| format!("; says nothing: {why}")).unwrap_or_default();
    format!("{line:>3}  {place}{text}  {DIM}{took}{why}{DIM:#}")
}

/// What is known of a gateway, beside what was found.
pub fn differences(comparison: &Comparison) -> String {
    let mut text = format!("\n{BOLD}known differences{BOLD:#}\n");
    for (what, count) in &comparison.seen {
        write(&mut text, format_args!("  {count:>3} scenarios  {what}\n"));
    }
    for (file, words) in &comparison.new {
        write(&mut text, format_args!("  {RED}new{RED:#}   {file}: {words}\n"));
    }
    for (what, file) in &comparison.gone {
        write(&mut text, format_args!("  {YELLOW}gone{YELLOW:#}  {file}: {what}\n"));
    }
    for what in &comparison.unseen {
        write(
            &mut text,
            format_args!("  {DIM}not looked at, none of its scenarios ran{DIM:#}  {what}\n"),
        );
    }
    text
}

/// A line for each file that both passed and failed, and how often it did.
pub fn flaky(runs: &[Run]) -> Vec<String> {
    // Passed, failed, all that were run.
    let mut counts: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for run in runs.iter().filter(|run| !matches!(run.verdict, Verdict::Skipped(_))) {
        let (passed, failed, all) = counts.entry(&run.file).or_default();
        *passed += usize::from(run.verdict == Verdict::Pass);
        *failed += usize::from(run.verdict == Verdict::Fail);
        *all += 1;
    }
    let is_flaky = |(_, (passed, failed, _)): &(_, (usize, usize, usize))| *passed.min(failed) > 0;
    let line = |(file, (passed, _, all))| {
        format!("{YELLOW}flaky{YELLOW:#}  {file}: {passed} of {all} passed")
    };
    counts.into_iter().filter(is_flaky).map(line).collect()
}

/// The last line: how many of each verdict, and how many were not even begun.
pub fn summary(runs: &[Run], unbegun: usize) -> String {
    let count = |word: &str| runs.iter().filter(|run| run.verdict.word() == word).count();
    let mut text = format!("{} passed, {} failed", count("pass"), count("fail"));
    for (word, shown) in [("unknown", "unknown"), ("broken", "broken"), ("skipped", "skipped")] {
        let number = count(word);
        if number > 0 {
            write(&mut text, format_args!(", {number} {shown}"));
        }
    }
    if unbegun > 0 {
        write(&mut text, format_args!(", {unbegun} not run"));
    }
    text
}

fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plain;

    fn run(file: &str, verdict: Verdict) -> Run {
        Run { verdict, ..Run::new(file, "", "it") }
    }

    #[test]
    fn a_file_that_passes_and_fails_is_flaky() {
        let broken = || Verdict::Broken("no Redis".to_owned());
        let runs = [
            run("b.yaml", Verdict::Pass),
            run("b.yaml", Verdict::Fail),
            run("b.yaml", Verdict::Pass),
            run("a.yaml", Verdict::Fail),
            run("a.yaml", Verdict::Fail),
            run("c.yaml", Verdict::Pass),
            run("c.yaml", broken()),
        ];
        let lines: Vec<String> = flaky(&runs).iter().map(|line| plain(line)).collect();
        assert_eq!(lines, ["flaky  b.yaml: 2 of 3 passed"]);
        assert_eq!(summary(&runs, 0), "3 passed, 3 failed, 1 broken");
        assert_eq!(summary(&runs, 4), "3 passed, 3 failed, 1 broken, 4 not run");
    }
}

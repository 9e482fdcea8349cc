//! What came of a run, in types: the engine fills them, the reports show them.

use std::{borrow::Cow, collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use serde_json::Value;

use crate::{check::Finding, history::History};

/// The three values of a verdict, and why a scenario was not run at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
    /// Nothing was observed that could have failed it, for this reason.
    Unknown(String),
    /// It needs what was not given.
    Skipped(String),
    /// The stack could not be started or mended: says nothing about the scenario.
    Broken(String),
}

impl Verdict {
    /// The word of reports.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown(_) => "unknown",
            Self::Skipped(_) => "skipped",
            Self::Broken(_) => "broken",
        }
    }

    /// Why, where the word alone does not say it.
    pub fn reason(&self) -> &str {
        match self {
            Self::Pass | Self::Fail => "",
            Self::Unknown(reason) | Self::Skipped(reason) | Self::Broken(reason) => reason,
        }
    }
}

/// How much of its time a step took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    pub used: Duration,
    pub limit: Duration,
}

impl Margin {
    /// Over four fifths of the time: it may fail on a slower machine.
    pub fn is_tight(self) -> bool {
        self.used * 5 > self.limit * 4
    }
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    Done,
    Failed,
}

/// Where a step of a shared file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPlace {
    pub file: String,
    pub line: u64,
}

impl fmt::Display for SharedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One step that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// In the scenario's own file: of a shared step, where it is used.
    pub line: u64,
    pub shared: Option<SharedPlace>,
    /// The step as it is written, its first line.
    pub text: String,
    pub from: Duration,
    pub to: Duration,
    pub outcome: StepOutcome,
    pub margin: Option<Margin>,
    /// Why it was true whatever the gateway did.
    pub vacuous: Option<String>,
}

/// A step that was not true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// As in [`StepReport`].
    pub line: u64,
    pub shared: Option<SharedPlace>,
    pub step: String,
    pub expected: String,
    pub seen: String,
    /// How much time it had.
    pub limit: Option<Duration>,
    /// When it became true after all, counted from the end of its time.
    pub late: Option<Duration>,
    /// Devices, processes and messages that it is about, by name.
    pub about: Vec<String>,
    pub at: Duration,
}

/// One run of one scenario.
#[derive(Clone, Debug)]
pub struct Run {
    pub file: String,
    pub scenario: String,
    pub verdict: Verdict,
    pub seed: u64,
    /// Flags of the command line that say what it ran on and with: whoever runs it again gives them again.
    pub flags: Vec<String>,
    pub duration: Duration,
    pub steps: Vec<StepReport>,
    pub failures: Vec<Failure>,
    pub findings: Vec<Finding>,
    pub history: History,
    /// Text of the file.
    pub source: String,
    /// The files of steps that it uses, each with its text, its parameters filled in.
    pub shared: BTreeMap<PathBuf, String>,
    /// The folder with everything that is known of a failure.
    pub bundle: Option<PathBuf>,
    /// What Redis held of presence at the end, if the scenario keeps that for review and there is a Redis.
    pub redis: Option<Value>,
    /// What Redis held when a step failed, its keys as [`Self::redis`] has them.
    pub redis_at_failure: Option<Value>,
}

impl Run {
    /// The command that runs it again, for a shell.
    pub fn again(&self) -> String {
        let seed = self.seed.to_string();
        let begin = ["harness", "run", &self.file, "--seed", &seed];
        let words = begin.into_iter().chain(self.flags.iter().map(String::as_str));
        words.map(quoted).collect::<Vec<_>>().join(" ")
    }

    /// One that has not begun. `source` is the text of `file`, `scenario` its sentence.
    pub fn new(file: &str, source: &str, scenario: &str) -> Self {
        Self {
            file: file.to_owned(),
            scenario: scenario.to_owned(),
            verdict: Verdict::Pass,
            seed: 0,
            flags: Vec::new(),
            duration: Duration::ZERO,
            steps: Vec::new(),
            failures: Vec::new(),
            findings: Vec::new(),
            history: History::default(),
            source: source.to_owned(),
            shared: BTreeMap::new(),
            bundle: None,
            redis: None,
            redis_at_failure: None,
        }
    }
}

/// A word of a command, in quotes if a shell would read it otherwise; `$NAME` is a variable.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_variable = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    if word.strip_prefix('$').is_some_and(is_variable) {
        return format!("\"{word}\"").into();
    }
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,@+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_runs_it_again_has_its_flags_and_survives_a_shell() {
        let mut run = Run::new("fixtures/a.yaml", "", "it");
        run.seed = 7;
        assert_eq!(run.again(), "harness run fixtures/a.yaml --seed 7");
        let flags = [
            "--url",
            "http://[::1]:3000",
            "--gateway",
            "it's here/gateway",
            "--jwt-secret",
            "$JWT_SECRET",
        ];
        run.flags = flags.map(str::to_owned).to_vec();
        let flags = r#"--url 'http://[::1]:3000' --gateway 'it'\''s here/gateway' --jwt-secret "$JWT_SECRET""#;
        assert_eq!(run.again(), format!("harness run fixtures/a.yaml --seed 7 {flags}"));
    }
}

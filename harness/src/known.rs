//! Ways in which a gateway is known to differ from the contract: written down by who has confirmed them, and compared with
//! what runs find, so that only the new ones and those that are gone need a look.

use serde::Deserialize;

use crate::verdict::{Run, Verdict};

/// A list of differences: one file for one gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    pub differences: Vec<Difference>,
}

/// One difference.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// What the gateway does, and what the contract says.
    pub what: String,
    /// How somebody has confirmed it without the harness.
    pub confirmed: String,
    /// It depends on who is quicker: it may be missing in a run.
    #[serde(default)]
    pub racy: bool,
    /// A failure or finding that has one of these in its words is this difference.
    pub says: Vec<String>,
    /// The scenarios that show it, each time they run, by the ends of their files' names.
    pub fixtures: Vec<String>,
}

/// What runs say beside a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Each difference of the list with the number of scenarios that showed it.
    pub seen: Vec<(String, usize)>,
    /// File and words of what the list does not have.
    pub new: Vec<(String, String)>,
    /// Differences that a scenario of theirs did not show any more.
    pub gone: Vec<(String, String)>,
    /// Differences none of whose scenarios has run: they were not looked at.
    pub unseen: Vec<String>,
}

impl Comparison {
    /// Exactly what the list says, and nothing else.
    pub fn is_exact(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty()
    }
}

impl Known {
    /// The first difference one of whose words are none, so that they would be found in any.
    pub fn says_anything(&self) -> Option<&str> {
        let is_empty = |it: &&Difference| {
            it.says.iter().chain(&it.fixtures).any(|words| words.trim().is_empty())
        };
        self.differences.iter().find(is_empty).map(|it| it.what.as_str())
    }
}

/// Compares what runs found with what is known.
pub fn compare(known: &Known, runs: &[Run]) -> Comparison {
    let mut comparison = Comparison::default();
    let runs: Vec<_> =
        runs.iter().filter(|run| !matches!(run.verdict, Verdict::Skipped(_))).collect();
    for run in &runs {
        for words in complaints(run) {
            let mut of_file = known.differences.iter().filter(|it| it.is_of(&run.file));
            if !of_file.any(|difference| difference.is_in(&words)) {
                comparison.new.push((run.file.clone(), words));
            }
        }
    }
    for difference in &known.differences {
        let is_shown = |run: &&&Run| complaints(run).iter().any(|words| difference.is_in(words));
        let theirs: Vec<_> = runs.iter().filter(|run| difference.is_of(&run.file)).collect();
        if theirs.is_empty() {
            comparison.unseen.push(difference.what.clone());
            continue;
        }
        let shown = theirs.iter().filter(|run| is_shown(run)).count();
        comparison.seen.push((difference.what.clone(), shown));
        for run in theirs.iter().filter(|run| !difference.racy && !is_shown(run)) {
            comparison.gone.push((difference.what.clone(), run.file.clone()));
        }
    }
    comparison
}

impl Difference {
    fn is_of(&self, file: &str) -> bool {
        self.fixtures.iter().any(|fixture| file.ends_with(fixture.as_str()))
    }

    fn is_in(&self, words: &str) -> bool {
        self.says.iter().any(|says| words.contains(says.as_str()))
    }
}

/// Everything that a run complains of, in words.
fn complaints(run: &Run) -> Vec<String> {
    let failures = run
        .failures
        .iter()
        .map(|it| format!("line {}: expected {}; seen {}", it.line, it.expected, it.seen));
    let findings = run.findings.iter().map(|it| format!("{}: {}", it.invariant, it.text));
    let reason = run.verdict.reason();
    let verdict = (!reason.is_empty()).then(|| format!("{}: {reason}", run.verdict.word()));
    failures.chain(findings).chain(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Failure;

    fn run(file: &str, seen: &[&str]) -> Run {
        let mut run = Run::new(file, "", "");
        run.verdict = if seen.is_empty() { Verdict::Pass } else { Verdict::Fail };
        run.failures = seen
            .iter()
            .map(|it| Failure { seen: (*it).to_owned(), ..Failure::default() })
            .collect();
        run
    }

    fn known(racy: bool) -> Known {
        Known {
            differences: vec![Difference {
                what: "it says 404".to_owned(),
                confirmed: "curl".to_owned(),
                racy,
                says: vec!["404".to_owned()],
                fixtures: vec!["rooms/a.yaml".to_owned()],
            }],
        }
    }

    #[test]
    fn what_is_known_is_exact_and_anything_else_is_new_or_gone() {
        let files = |found: &[(String, String)], index: usize| -> Vec<String> {
            found.iter().map(|pair| [&pair.0, &pair.1][index].clone()).collect()
        };
        let exact = compare(&known(false), &[run("fixtures/rooms/a.yaml", &["404"])]);
        assert!(exact.is_exact());
        assert_eq!(exact.seen, [("it says 404".to_owned(), 1)]);
        let elsewhere = compare(&known(true), &[run("fixtures/rooms/b.yaml", &["404"])]);
        assert_eq!(files(&elsewhere.new, 0), ["fixtures/rooms/b.yaml"]);
        let other = compare(&known(false), &[run("fixtures/rooms/a.yaml", &["404", "500"])]);
        assert_eq!(other.new.len(), 1);
        let gone = compare(&known(false), &[run("fixtures/rooms/a.yaml", &[])]);
        assert_eq!(files(&gone.gone, 1), ["fixtures/rooms/a.yaml"]);
        assert!(compare(&known(true), &[run("fixtures/rooms/a.yaml", &[])]).is_exact());
        let unseen = compare(&known(false), &[run("fixtures/rooms/b.yaml", &[])]);
        assert_eq!(unseen.unseen, ["it says 404"]);
    }
}

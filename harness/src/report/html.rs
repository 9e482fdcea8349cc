//! Runs as one page for a browser, which needs no network: style, program and data are all in it.
//!
//! What a scenario says reaches the page as JSON only, in which no `<` is left, and the program turns it into text nodes. A
//! policy in the page forbids every request, and every program but ours.

mod calls;
mod frames;
mod timeline;

use std::{
    collections::HashMap,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use uuid::Uuid;

use super::{
    found::story,
    json::{Failed, Found, Seconds, Step, failures, findings, steps},
    sequence,
};
use crate::{
    scenario::INVARIANTS,
    verdict::{Margin, Run, Verdict},
};
use timeline::{Limits, Timeline};

const PAGE: &str = include_str!("html/page.html");

const STYLE: &str = concat!(include_str!("html/page.css"), include_str!("html/timeline.css"));

const PROGRAM: &str = concat!(
    include_str!("html/base.js"),
    include_str!("html/draw.js"),
    include_str!("html/timeline.js"),
    include_str!("html/frame.js"),
    include_str!("html/run.js"),
    include_str!("html/list.js"),
);

/// Most frames of all runs together: about 20 MB.
const FRAMES_MAX: usize = 100_000;

/// Of one run that is green, or was not run: somebody may still want to see how it looks when all is well.
const GREEN: Limits = Limits { frames: 4_000, packet_chars: 300 };

/// Of one run that is not.
const RED: Limits = Limits { frames: 10_000, packet_chars: 6_000 };

/// What the list shows.
#[derive(Serialize)]
struct Index<'r> {
    /// Milliseconds since 1970.
    made: u64,
    version: &'static str,
    invariants: HashMap<&'static str, &'static str>,
    runs: Vec<Head<'r>>,
}

#[derive(Serialize)]
struct Head<'r> {
    file: &'r str,
    scenario: &'r str,
    verdict: &'static str,
    reason: &'r str,
    seed: u64,
    /// The command that runs it again.
    again: String,
    duration: Seconds,
    /// How many steps used over four fifths of their time.
    tight: usize,
    /// Which run of this file it is, from 1.
    round: usize,
    /// From the page's folder.
    bundle: Option<String>,
}

/// What an opened run shows.
#[derive(Serialize)]
struct Body<'r> {
    steps: Vec<Step<'r>>,
    failures: Vec<Failed<'r>>,
    /// A diagram for each failure.
    diagrams: Vec<String>,
    findings: Vec<Found<'r>>,
    /// A diagram around the first finding.
    found_diagram: String,
    source: &'r str,
    timeline: Timeline,
}

/// The page of all runs; `directory` is where it will be, so that it can point to bundles.
pub fn html(runs: &[Run], directory: &Path) -> serde_json::Result<String> {
    let mut rounds: HashMap<&str, usize> = HashMap::new();
    let mut heads = Vec::new();
    for run in runs {
        let round = rounds.entry(&run.file).or_default();
        *round += 1;
        heads.push(Head::of(run, *round, directory));
    }
    let index = Index {
        made: made(),
        version: env!("CARGO_PKG_VERSION"),
        invariants: INVARIANTS.iter().copied().collect(),
        runs: heads,
    };
    let mut data = script("index", &index)?;
    for (number, limits) in shares(runs).into_iter().enumerate() {
        data.push_str(&script(&format!("run-{number}"), &Body::of(&runs[number], limits))?);
    }
    // The data comes last: nothing in it is replaced.
    let nonce = Uuid::new_v4().simple().to_string();
    let page = PAGE.replace("{{nonce}}", &nonce).replace("{{style}}", STYLE);
    Ok(page.replace("{{program}}", PROGRAM).replacen("{{data}}", &data, 1))
}

/// Now. Before 1970 there is no time to show.
fn made() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or_default()
}

/// A block of data. No text in it can end the block or begin a comment.
fn script(id: &str, data: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(data)?.replace('<', "\\u003c");
    Ok(format!("<script type=\"application/json\" id=\"{id}\">{json}</script>\n"))
}

/// What each run may show: red ones first, until nothing is left of the whole.
fn shares(runs: &[Run]) -> Vec<Limits> {
    let mut left = FRAMES_MAX;
    let mut shares = vec![GREEN; runs.len()];
    for is_red in [true, false] {
        for (run, share) in
            runs.iter().zip(&mut shares).filter(|(run, _)| is_red == self::is_red(run))
        {
            let limits = if is_red { RED } else { GREEN };
            let frames = frames::count(&run.history).min(limits.frames).min(left);
            *share = Limits { frames, ..limits };
            left -= frames;
        }
    }
    shares
}

fn is_red(run: &Run) -> bool {
    match run.verdict {
        Verdict::Fail | Verdict::Broken(_) | Verdict::Unknown(_) => true,
        Verdict::Pass | Verdict::Skipped(_) => false,
    }
}

impl<'r> Head<'r> {
    fn of(run: &'r Run, round: usize, directory: &Path) -> Self {
        let is_tight = |margin: &Margin| margin.is_tight();
        let tight = run.steps.iter().filter_map(|step| step.margin).filter(is_tight).count();
        let bundle = run
            .bundle
            .as_ref()
            .map(|bundle| bundle.strip_prefix(directory).unwrap_or(bundle).display().to_string());
        Self {
            file: &run.file,
            scenario: &run.scenario,
            verdict: run.verdict.word(),
            reason: run.verdict.reason(),
            seed: run.seed,
            again: run.again(),
            duration: Seconds(run.duration),
            tight,
            round,
            bundle,
        }
    }
}

impl<'r> Body<'r> {
    fn of(run: &'r Run, limits: Limits) -> Self {
        let diagrams = run.failures.iter().map(|failure| sequence(run, failure).join("\n"));
        Self {
            steps: steps(run),
            failures: failures(run),
            diagrams: diagrams.collect(),
            findings: findings(run),
            found_diagram: run
                .findings
                .first()
                .map(|it| story(run, it).1.join("\n"))
                .unwrap_or_default(),
            source: &run.source,
            timeline: Timeline::of(run, limits),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::What;

    #[test]
    fn nothing_that_was_said_leaves_its_block() {
        let hostile = "</script><!--<script>{{program}}{{data}}";
        let mut run = Run::new(hostile, hostile, hostile);
        run.history.push(Duration::ZERO, What::Step { line: 1, text: hostile.to_owned() });
        let page = html(&[run], Path::new("target")).unwrap();
        assert!(!page.contains("</script><!--"));
        // The index, the run and the program: as many as are opened.
        assert_eq!(page.matches("</script>").count(), 3);
        assert_eq!(page.matches("<script").count(), 3);
        let data = page.split("id=\"index\">").nth(1).unwrap().split("</script>").next().unwrap();
        let index: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(index["runs"][0]["scenario"], hostile);
    }

    #[test]
    fn the_program_and_the_style_have_no_end_tag_of_their_own() {
        for text in [PROGRAM, STYLE] {
            assert!(!text.contains("</") && !text.contains("{{"));
        }
    }

    #[test]
    fn red_runs_have_their_frames_before_green_ones() {
        let with = |verdict: Verdict, frames: usize| {
            let mut run = Run::new("a.yaml", "", "it");
            run.verdict = verdict;
            let connection = crate::history::ConnectionId(1);
            for _ in 0..frames {
                run.history.push(Duration::ZERO, What::Sent { connection, packet: "3".to_owned() });
            }
            run
        };
        let mut runs = vec![with(Verdict::Pass, 5_000)];
        runs.extend((0..10).map(|_| with(Verdict::Fail, 9_999)));
        runs.push(with(Verdict::Pass, 5_000));
        let shares: Vec<usize> = shares(&runs).into_iter().map(|limits| limits.frames).collect();
        assert_eq!(shares[0], 10);
        assert_eq!(shares[1..11], [9_999; 10]);
        assert_eq!(shares[11], 0);
    }

    #[test]
    fn a_bundle_is_named_from_where_the_page_is() {
        let mut run = Run::new("a.yaml", "", "it");
        run.bundle = Some("target/harness/failures/a-0".into());
        let head = Head::of(&run, 1, Path::new("target/harness"));
        assert_eq!(head.bundle.as_deref(), Some("failures/a-0"));
    }
}

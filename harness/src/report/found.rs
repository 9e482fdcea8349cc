//! What a broken invariant is about: the step that ran then, and the story around that moment, as of a failed step.

use std::{collections::BTreeSet, time::Duration};

use super::{explain::explain_around, sequence::sequence_around};
use crate::{
    check::Finding,
    history::Story,
    verdict::{Failure, Run, StepReport},
};

/// The step that ran at this time, the last one that began of several; between two steps the one before. `None`: the steps
/// had not begun, or were over.
pub(super) fn step_at(run: &Run, at: Duration) -> Option<&StepReport> {
    if run.steps.iter().all(|step| step.to < at) {
        return None;
    }
    let begun = || run.steps.iter().filter(|step| step.from <= at);
    let running = begun().filter(|step| at <= step.to).max_by_key(|step| step.from);
    running.or_else(|| begun().max_by_key(|step| step.from))
}

/// What happened around a finding, in sentences and as a diagram.
pub(super) fn story(run: &Run, finding: &Finding) -> (Vec<String>, Vec<String>) {
    let about = about(run, finding);
    let failure = Failure { at: finding.at, about, ..Failure::default() };
    (explain_around(run, &failure), sequence_around(run, &failure, finding.invariant))
}

/// Who and what its sentence names: devices, people and messages; if none of them, who spoke to the gateway that it names.
fn about(run: &Run, finding: &Finding) -> Vec<String> {
    let story = Story::read(&run.history);
    let known = |name: &str| {
        story.connections.values().any(|it| {
            it.device == name || it.device.split_once('.').is_some_and(|(user, _)| user == name)
        })
    };
    let sent: BTreeSet<String> = story
        .sent
        .iter()
        .filter_map(|sent| Some(run.history.name(&sent.id("clientMsgId")?)))
        .collect();
    let words: BTreeSet<&str> = finding.text.split(is_between).map(trimmed).collect();
    let quoted = finding.text.split('`').skip(1).step_by(2);
    let mut about: BTreeSet<&str> = words.iter().copied().filter(|word| known(word)).collect();
    about.extend(quoted.filter(|name| sent.contains(&format!("`{name}`"))));
    if about.is_empty() {
        let there = story.connections.values().filter(|it| words.contains(it.gateway.as_str()));
        about.extend(there.map(|it| it.device.as_str()));
    }
    about.into_iter().map(str::to_owned).collect()
}

/// Whether no name goes on over this character.
fn is_between(c: char) -> bool {
    !c.is_alphanumeric() && !matches!(c, '.' | '-' | '_')
}

fn trimmed(word: &str) -> &str {
    word.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        history::{ConnectionId, What},
        verdict::StepOutcome,
    };

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn step(line: u64, from: u64, to: u64) -> StepReport {
        let (from, to, text) = (millis(from), millis(to), "send: it".to_owned());
        StepReport {
            line,
            shared: None,
            text,
            from,
            to,
            outcome: StepOutcome::Done,
            margin: None,
            vacuous: None,
        }
    }

    fn run() -> Run {
        let mut run = Run::new("a.yaml", "", "it");
        run.steps = vec![step(3, 10, 20), step(4, 30, 90), step(5, 40, 50)];
        run.history.call("m", "hi");
        for (number, name, gateway) in [(1, "alice", "gw1"), (2, "bob", "gw1"), (3, "carol", "gw2")]
        {
            let connection = ConnectionId(number);
            let (device, user) = (format!("{name}.phone"), name.to_owned());
            let gateway = gateway.to_owned();
            let opened = What::Opened { connection, device, user, gateway, is_polling: false };
            run.history.push(millis(1), opened);
        }
        let packet = r#"420["sendMessage",{"clientMsgId":"m"}]"#.to_owned();
        run.history.push(millis(35), What::Sent { connection: ConnectionId(1), packet });
        let packet = r#"42["newMessage",{"clientMsgId":"m"}]"#.to_owned();
        run.history.push(millis(60), What::Received { connection: ConnectionId(2), packet });
        run
    }

    fn finding(text: &str, at: u64) -> Finding {
        Finding { invariant: "nothing-lost", at: millis(at), text: text.to_owned() }
    }

    #[test]
    fn the_step_of_a_moment_is_the_last_that_began_and_still_runs() {
        let run = run();
        let line = |at| step_at(&run, millis(at)).map(|step| step.line);
        for (at, expected) in
            [(5, None), (15, Some(3)), (25, Some(3)), (45, Some(5)), (60, Some(4)), (91, None)]
        {
            assert_eq!(line(at), expected, "{at}");
        }
    }

    #[test]
    fn a_sentence_is_about_the_names_in_it() {
        let run = run();
        let about = |text: &str| about(&run, &finding(text, 35));
        assert_eq!(about("bob.phone never heard `hi`."), ["bob.phone", "hi"]);
        assert_eq!(about("`alice` is listed with a socket"), ["alice"]);
        assert_eq!(about("gw2 was ended by signal 6"), ["carol.phone"]);
        assert!(about("the history tells hi").is_empty());
    }

    #[test]
    fn the_story_goes_on_after_the_moment() {
        let (sentences, diagram) = story(&run(), &finding("alice.phone sent `hi`", 35));
        let expected = ["alice.phone sent `hi` at 0.04 s", "bob.phone heard `hi` at 0.06 s"];
        assert_eq!(sentences, expected);
        assert_eq!(diagram.len(), 3, "{diagram:#?}");
        assert!(diagram[1].contains("sendMessage"), "{diagram:#?}");
        assert_eq!(diagram[2], "  0.04 s    --- nothing-lost ---");
    }
}

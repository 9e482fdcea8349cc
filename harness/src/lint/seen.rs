//! `expect`: whether it can be, by then.

use super::{Linter, hearing::actor_of};
use crate::{
    contract::{MEMBERSHIPS, TOPICS},
    plural::counted,
    scenario::{Backends, Expect, Scenario, Send, Spanned, Step},
};

impl Linter<'_> {
    /// Whether what is expected is something of what is looked at, and whether anything is.
    fn belongs(&mut self, step: &Spanned<Step>, expect: &Expect) {
        let Expect { presence, redis, history, stored, topic, .. } = expect;
        let subjects = [
            ("presence", presence),
            ("redis", redis),
            ("history", history),
            ("stored", stored),
            ("topic", topic),
        ];
        let Some((subject, _)) = subjects.iter().find(|(_, it)| it.is_some()) else { return };
        let said = [
            ("online", expect.online.is_some(), &["presence"][..]),
            ("sockets", expect.sockets.is_some(), &["presence"]),
            ("exists", expect.exists.is_some(), &["redis"]),
            ("fields", expect.fields.is_some(), &["redis"]),
            ("field", expect.field.is_some(), &["redis"]),
            ("value", expect.value.is_some(), &["redis"]),
            ("ttl", expect.ttl.is_some(), &["redis"]),
            ("messages", expect.messages.is_some(), &["history", "stored", "topic"]),
            ("count", expect.count.is_some(), &["history", "stored", "topic"]),
        ];
        let own: Vec<&str> =
            said.iter().filter(|(.., of)| of.contains(subject)).map(|(name, ..)| *name).collect();
        for (name, ..) in said.iter().filter(|(_, is_said, of)| *is_said && !of.contains(subject)) {
            let problem = self.problem(step, format!("`{subject}` has no `{name}`"));
            self.report(problem.with_help(format!("it has `{}`", own.join("`, `"))));
        }
        if !said.iter().any(|(_, is_said, of)| *is_said && of.contains(subject)) {
            let problem = self.problem(step, format!("nothing is expected of `{subject}`"));
            self.report(problem.with_help(format!("write one of `{}`", own.join("`, `"))));
        }
    }

    pub(super) fn expect(&mut self, step: &Spanned<Step>, expect: &Expect) {
        let Expect { presence, redis, history, stored, topic, within, lasting, ttl, .. } = expect;
        self.times([within, lasting]);
        if let Some(ttl) = ttl {
            self.time(ttl);
        }
        let subjects = [presence, redis, history, stored, topic];
        match subjects.iter().filter(|subject| subject.is_some()).count() {
            0 => {
                let help = "write `presence: alice`, `redis: \"key\"`, `history: room`, `stored: room` or `topic: name`";
                self.report(self.problem(step, "nothing is looked at here").with_help(help));
            }
            1 => {}
            _ => {
                let text =
                    "`presence`, `redis`, `history`, `stored` and `topic` exclude each other";
                self.report(self.problem(step, text).with_help("make two steps of it"));
            }
        }
        self.belongs(step, expect);
        if let Some(key) = redis {
            self.key(key, expect);
        }
        for text in redis.iter().chain(&expect.field) {
            self.names(text);
        }
        if let Some(value) = &expect.value {
            self.names_of(value);
        }
        if let Some(topic) = topic {
            self.topic(topic, expect);
        }
        if let (Some(_), Some(lasting)) = (within, lasting) {
            let text = "`within` becomes true in time, `for` stays true: one step cannot do both";
            self.report(self.problem(lasting, text).with_help("make two steps of it"));
        }
        if let Some(actor) = presence {
            self.actor(&actor.value, actor.into());
            let devices = self.scenario.actors.get(&actor.value).map(|it| it.value.len());
            if let (Some(sockets), Some(devices)) = (expect.sockets, devices)
                && sockets > devices
                && !self.known.has_faults
            {
                let text =
                    format!("`{}` has {}, not {sockets}", actor.value, counted(devices, "device"));
                self.report(self.problem(actor, text));
            }
        }
        if let (Some(value), None) = (&expect.value, &expect.field) {
            let problem = self.problem(value, "`value` is that of a field of a hash");
            self.report(problem.with_help("write `field: \"${alice.phone.socket}\"` beside it"));
        }
        if let (Some(is_online), Some(sockets)) = (expect.online, expect.sockets)
            && is_online != (sockets > 0)
        {
            let text = format!("`online: {is_online}` with `sockets: {sockets}` can never be true");
            self.report(self.problem(step, text));
        }
        for room in [history, stored].into_iter().flatten() {
            self.room(&room.value, room.into());
        }
        self.messages(expect);
        self.servers(expect);
    }

    /// Whether there is what is looked into, and whether it runs.
    fn servers(&mut self, expect: &Expect) {
        let Expect { presence, redis, history, stored, topic, .. } = expect;
        for (server, subject) in [("redis", presence), ("postgres", history)] {
            if let Some(subject) = subject {
                self.must_be_up(server, subject.into());
                self.must_have_a_gateway(subject.into());
            }
        }
        let is_real = self.scenario.stack.backends != Backends::Embedded;
        for (what, subject) in [("Redis", redis), ("Postgres", stored), ("Kafka", topic)] {
            let Some(subject) = subject.as_ref() else { continue };
            if !is_real {
                let problem = self.problem(subject, format!("an embedded gateway has no {what}"));
                self.report(problem.with_help("write `stack: { backends: real }`"));
            }
            self.must_be_up(&what.to_lowercase(), subject.into());
        }
    }

    /// The messages that are there: named by then, sent there, and each once.
    fn messages(&mut self, expect: &Expect) {
        let Expect { history, stored, topic, .. } = expect;
        let messages = || expect.messages.iter().flatten();
        // A retry is a record of its own.
        if topic.is_none() {
            self.each_once(messages());
        }
        self.as_sent(expect.messages.as_deref().unwrap_or_default(), topic.is_some());
        for message in messages() {
            self.message(message);
            self.must_be_stored(message);
            let is_accepted = topic.as_ref().is_some_and(|topic| topic.value == TOPICS[0]);
            if !is_accepted {
                self.can_be_stored(message);
            }
            for room in [history, stored].into_iter().flatten() {
                self.is_of_room(message, &room.value);
            }
        }
        if let (Some(names), Some(count)) = (&expect.messages, &expect.count)
            && let Some(all) = self.how_many(names).filter(|all| *all != count.value)
        {
            let text = format!(
                "`messages` names {}, and `count` is {}",
                counted(all, "message"),
                count.value
            );
            self.report(self.problem(count, text).with_help("leave `count` out"));
        }
        for room in [history, stored].into_iter().flatten() {
            self.amount(&room.value, expect.count.as_ref());
        }
    }

    /// Whether as many messages are sent to a room in the whole file; a problem if not.
    fn amount(&mut self, room: &str, count: Option<&Spanned<usize>>) {
        let Some(count) = count else { return };
        let Scenario { rooms, steps, .. } = self.scenario;
        // A room of another name may be this one, and this one another, as a reply has told it.
        if self.known.captured.contains(room) || !rooms.is_empty() && !rooms.contains_key(room) {
            return;
        }
        let is_other = |name: &str| rooms.contains_key(name) && name != room;
        if let Some(most) = most(steps, steps, &is_other).filter(|most| *most < count.value) {
            let text = format!("`{room}` gets {}, not {}", counted(most, "message"), count.value);
            self.report(self.problem(count, text));
        }
    }

    /// A topic of the contract, and what it can have.
    fn topic(&mut self, topic: &Spanned<String>, expect: &Expect) {
        self.is_one_of("topic", &topic.value, &TOPICS.map(str::to_owned), topic.into());
        if topic.value == MEMBERSHIPS && expect.messages.is_some() {
            let problem = self.problem(topic, "the records of memberships are no messages");
            self.report(problem.with_help("write `count`"));
        }
    }
}

/// The most messages that these steps send anywhere but to other rooms; `None` if nobody can tell.
fn most(
    steps: &[Spanned<Step>],
    all_steps: &[Spanned<Step>],
    is_other: &dyn Fn(&str) -> bool,
) -> Option<usize> {
    let mut all: usize = 0;
    for step in steps {
        let (mut sent, mut rounds) = (0, 1);
        if let Step::Send(send) = &step.value {
            let goes_elsewhere = send.room.as_ref().is_some_and(|room| is_other(&room.value));
            let again = send.again.as_ref();
            let first = again.and_then(|name| first(all_steps, &name.value));
            // What somebody else sends again is a message of their own.
            let is_more = !goes_elsewhere
                && first
                    .is_none_or(|first| actor_of(&first.from.value) != actor_of(&send.from.value));
            sent = how_many(first.unwrap_or(send)) * usize::from(is_more);
            // It may say which room it is for.
            send.payload.is_none().then_some(())?;
        } else if let Step::Raw(_) | Step::Publish(_) = &step.value {
            return None;
        } else if let Step::Repeat(repeat) = &step.value {
            rounds = repeat.times.value;
        }
        for block in step.value.blocks() {
            sent = usize::saturating_add(sent, most(block, all_steps, is_other)?);
        }
        all = all.saturating_add(sent.saturating_mul(rounds));
    }
    Some(all)
}

fn how_many(send: &Send) -> usize {
    send.count.as_ref().map_or(1, |count| count.value)
}

/// The step that sends a message of this name first.
fn first<'s>(steps: &'s [Spanned<Step>], name: &str) -> Option<&'s Send> {
    steps.iter().find_map(|step| {
        if let Step::Send(send) = &step.value
            && send.name.as_ref().is_some_and(|it| it.value == name)
        {
            return Some(&**send);
        }
        step.value.blocks().into_iter().find_map(|block| first(block, name))
    })
}

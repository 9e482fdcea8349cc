//! Steps about what must be seen: whether it can be, by then.

use super::Linter;
use crate::scenario::{Backends, Deliver, Expect, Spanned, Step};

impl Linter<'_> {
    pub(super) fn deliver(&mut self, step: &Spanned<Step>, deliver: &Deliver) {
        let Deliver { message, messages, to, within, times } = deliver;
        match (message, messages) {
            (None, None) => self.report(self.problem(step, "`message` is missing here")),
            (Some(_), Some(several)) => {
                self.report(self.problem(several, "write one of `message` and `messages`"));
            }
            _ => {}
        }
        if let Some(none) = messages.as_ref().filter(|names| names.value.is_empty()) {
            self.report(self.problem(none, "`messages` is empty: nothing would be delivered"));
        }
        for name in deliver.names() {
            self.message(name);
        }
        self.times([within]);
        if let Some(times) = times
            && times.value == 0
        {
            let problem = self.problem(times, "zero times at once is true before anything happens");
            self.report(
                problem.with_help("write `- never: { message: ..., to: ..., for: 500ms }`"),
            );
        }
        let room_of = |name: &str| self.known.messages.get(name).cloned().flatten();
        let rooms: Vec<(String, String)> = deliver
            .names()
            .filter_map(|name| Some((name.value.clone(), room_of(&name.value)?)))
            .collect();
        for (device, place) in self.devices(to, step) {
            let is_inside = |room: &str| {
                self.known.joined.get(&device).is_some_and(|rooms| rooms.contains(room))
            };
            if let Some((name, room)) = rooms.iter().find(|(_, room)| !is_inside(room)) {
                let text =
                    format!("`{device}` is not in `{room}` by then: it can never hear `{name}`");
                let help =
                    format!("put `- join: {{ who: {device}, room: {room} }}` before the send");
                self.report(self.problem(place, text).with_help(help));
            }
        }
    }

    pub(super) fn expect(&mut self, step: &Spanned<Step>, expect: &Expect) {
        let Expect { presence, redis, history, stored, topic, within, lasting, ttl, .. } = expect;
        self.times([within, lasting, ttl]);
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
        if let (Some(_), Some(lasting)) = (within, lasting) {
            let text = "`within` becomes true in time, `for` stays true: one step cannot do both";
            self.report(self.problem(lasting, text).with_help("make two steps of it"));
        }
        if let Some(actor) = presence {
            self.actor(&actor.value, actor.into());
            if expect.online.is_none() && expect.sockets.is_none() {
                let problem = self.problem(step, "nothing is expected of the presence");
                self.report(problem.with_help("write `online: true` or `sockets: 2`"));
            }
        }
        if let (Some(value), None) = (&expect.value, &expect.field) {
            let problem = self.problem(value, "`value` is that of a field of a hash");
            self.report(problem.with_help("write `field: \"${alice.phone.socket}\"` beside it"));
        }
        if let (Some(field), None) = (&expect.field, redis) {
            self.report(self.problem(field, "`field` is one of a hash in Redis: write `redis:`"));
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
        for message in expect.messages.iter().flatten() {
            self.message(message);
        }
        let is_real = self.scenario.stack.backends != Backends::Embedded;
        for (what, subject) in [("Redis", redis), ("Postgres", stored), ("Kafka", topic)] {
            if let Some(subject) = subject.as_ref().filter(|_| !is_real) {
                let problem = self.problem(subject, format!("an embedded gateway has no {what}"));
                self.report(problem.with_help("write `stack: { backends: real }`"));
            }
        }
    }
}

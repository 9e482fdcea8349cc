//! Messages and who can hear them: `deliver` and `never`.

use std::collections::BTreeSet;

use super::{Linter, order::Order};
use crate::contract::REFUSALS;
use crate::scenario::{AckWanted, Deliver, Never, Place, Send, Spanned, Step};

/// A message that has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Its room, if that is known.
    pub(super) room: Option<String>,
    /// The error that it is refused with.
    pub(super) refusal: Option<String>,
    is_accepted: bool,
    /// The devices that were in its room when it was sent.
    there: BTreeSet<String>,
    /// Those that came later and may hear it all the same: it may not have been stored by then, or they resume.
    pub(super) later: BTreeSet<String>,
    /// A device has heard it by now.
    is_heard: bool,
    /// How many messages have this name.
    count: usize,
    /// The actor who has sent it first.
    pub(super) sender: String,
    /// The shared file that named it, and the line.
    shared_line: Option<(String, u64)>,
    /// Another program has written a record of it.
    pub(super) is_written: bool,
    /// What comes before it and after it, as far as the file says.
    pub(super) order: Order,
    /// What did not run when it was sent, and has not run since.
    pub(super) held_by: BTreeSet<String>,
}

impl Named {
    /// With what another block that ran side by side knows of it.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { there, later, order, held_by, .. } = other;
        self.refusal = self.refusal.take().filter(|_| other.refusal.is_some());
        self.is_accepted |= other.is_accepted;
        self.is_heard |= other.is_heard;
        self.is_written |= other.is_written;
        self.order = self.order.beside(*order);
        self.there.extend(there.iter().cloned());
        self.later.extend(later.iter().cloned());
        self.held_by.retain(|what| held_by.contains(what));
    }
}

impl Linter<'_> {
    /// A message gets a name, or is sent again under the one that it has.
    pub(super) fn sends(&mut self, send: &Send) {
        let Some(name) = send.name.as_ref().or(send.again.as_ref()) else { return };
        let ack = send.ack.as_ref().map(|ack| &ack.value);
        let refusal = if let Some(AckWanted::Error(error)) = ack {
            REFUSALS.contains(&error.as_str()).then_some(error)
        } else {
            None
        };
        let is_accepted = match ack {
            None => send.payload.is_none(),
            Some(ack) => *ack == AckWanted::Accepted,
        };
        let known = self.known.messages.get(&name.value).cloned();
        let mut named = if let (Some(_), Some(known)) = (&send.again, &known) {
            known.clone()
        } else {
            let room = send.room.as_ref().map(|room| room.value.clone());
            let count = send.count.as_ref().map_or(1, |count| count.value);
            let sender = actor_of(&send.from.value).to_owned();
            Named { room, refusal: refusal.cloned(), count, sender, ..Named::default() }
        };
        if refusal.is_none() {
            named.refusal = None;
        }
        named.is_accepted |= is_accepted;
        // Of a retry the first one may have been kept, or was for sure.
        let is_first =
            send.again.is_none() || known.as_ref().is_some_and(|it| it.refusal.is_some());
        // Somebody else's is another message.
        let is_own = named.sender == actor_of(&send.from.value);
        if send.again.is_some() && !is_own {
            self.known.shared.insert(name.value.clone());
        }
        named.order = self.order_of(named.order, is_first, is_accepted && is_own);
        named.order.is_retried |= send.again.is_some();
        if is_first {
            named.held_by = self.down();
        }
        if is_first || !known.is_some_and(|it| it.is_heard) {
            self.find_hearers(&mut named, is_first);
        }
        if send.again.is_none() {
            self.calls(name, named);
        } else {
            self.known.messages.insert(name.value.clone(), named);
        }
    }

    /// A message that another program writes gets a name; what becomes of it is not known.
    pub(super) fn writes(&mut self, name: &Spanned<String>, room: Option<String>) {
        let mut named = Named { room, count: 1, ..Named::default() };
        // It may be stored already.
        named.is_written = true;
        named.held_by = self.down();
        named.held_by.retain(|it| it.starts_with("gw"));
        self.find_hearers(&mut named, true);
        self.calls(name, named);
    }

    /// Who is in its room now hears it for sure, if it can be its first time.
    pub(super) fn find_hearers(&self, named: &mut Named, is_first: bool) {
        let Some(room) = &named.room else { return };
        let there = self.known.joined.iter().filter(|(_, joined)| joined == room);
        let there = there.map(|(device, _)| device.clone());
        if is_first { named.there.extend(there) } else { named.later.extend(there) }
    }

    fn calls(&mut self, name: &Spanned<String>, mut named: Named) {
        let used = self.used.as_ref();
        named.shared_line = used.map(|used| (used.file.clone(), Place::from(name).line));
        // Each round of a repetition names its own message, and so does each use of a shared file.
        let known = self.known.messages.get(&name.value);
        let is_same = named.shared_line.is_some()
            && known.is_some_and(|it| it.shared_line == named.shared_line);
        if is_same {
            named.order = Order::default();
        }
        let is_new = !self.is_again && !is_same;
        if is_new {
            self.name("a message", &name.value, name.into());
        }
        if self.known.messages.insert(name.value.clone(), named).is_some() && is_new {
            let text = format!("another message is named `{}` already", name.value);
            self.report(self.problem(name, text));
        }
    }

    /// A device joins a room; `resumes`: it asks for what it has missed.
    pub(super) fn enters(&mut self, device: String, room: &str, resumes: bool) {
        let may_come =
            |it: &&mut Named| it.room.as_deref() == Some(room) && (resumes || !it.is_heard);
        for message in self.known.messages.values_mut().filter(may_come) {
            message.later.insert(device.clone());
        }
        if resumes {
            self.known.resumed.insert(device.clone());
        }
        self.known.joined.insert((device.clone(), room.to_owned()));
        self.known.entered.insert((device, room.to_owned()));
    }

    /// Whether what a device hears can be told from the file.
    pub(super) fn is_sure(&self, device: &str) -> bool {
        self.described(device).is_some_and(|it| it.pongs)
            && !self.known.unsure.contains(device)
            && !self.is_connected_beside(device)
            && !self.is_moved_beside(device)
    }

    fn is_inside(&self, device: &str, room: &str) -> bool {
        self.known.joined.contains(&(device.to_owned(), room.to_owned()))
    }

    /// Whether a device is in a room that may be this one: what a reply has told may be a second name.
    fn is_in_any(&self, device: &str, room: &str) -> bool {
        let captured = &self.known.captured;
        self.known.joined.iter().any(|(known, joined)| {
            known == device
                && joined != room
                && (captured.contains(joined) || captured.contains(room))
        })
    }

    /// A message that has a name by now.
    pub(super) fn message(&mut self, name: &Spanned<String>) {
        if !self.known.messages.contains_key(&name.value) {
            let text = format!("no message is named `{}` by then", name.value);
            let problem = self.problem(name, text);
            let known = self.known.messages.keys().map(String::as_str);
            let mut problem = problem.with_known(&name.value, known);
            if problem.help.is_none() {
                problem =
                    problem.with_help(format!("name one: `- send: {{ ..., as: {} }}`", name.value));
            }
            self.report(problem);
        }
    }

    /// How many messages these names stand for, where each is known.
    pub(super) fn how_many(&self, names: &[Spanned<String>]) -> Option<usize> {
        names.iter().map(|name| Some(self.known.messages.get(&name.value)?.count)).sum()
    }

    /// A message stands in the room that it was sent to, and in no other.
    pub(super) fn is_of_room(&mut self, name: &Spanned<String>, room: &str) {
        let sent_to = self.known.messages.get(&name.value).and_then(|it| it.room.clone());
        // What a reply has told may be a second name of a room.
        let is_open = |room: &str| self.known.captured.contains(room);
        let sent_to = sent_to.filter(|it| it != room && !is_open(it) && !is_open(room));
        if let Some(sent_to) = sent_to {
            let text = format!("`{}` was sent to `{sent_to}`, not to `{room}`", name.value);
            self.report(self.problem(name, text));
        }
    }

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
        self.each_once(messages.iter().flat_map(|names| &names.value));
        self.as_sent(messages.as_ref().map_or(&[], |names| &names.value), false);
        for name in deliver.names() {
            self.message(name);
            self.must_be_kept(name);
        }
        self.times([within]);
        let devices = self.devices(to, step);
        self.how_often(times.as_ref(), &devices);
        let named: Vec<(String, Named)> = deliver
            .names()
            .filter_map(|name| {
                Some((name.value.clone(), self.known.messages.get(&name.value)?.clone()))
            })
            .collect();
        for (device, place) in devices {
            if !self.is_sure(&device) {
                continue;
            }
            let deaf = named.iter().find_map(|(name, it)| {
                let room = it.room.as_ref()?;
                let is_there = it.there.contains(&device)
                    || it.later.contains(&device)
                    || self.is_in_any(&device, room);
                (!is_there).then_some((name, room))
            });
            if let Some((name, room)) = deaf {
                let (state, help) = if self.is_inside(&device, room) {
                    let help = format!("let {device} join `{room}` before");
                    (format!("in `{room}` only since `{name}` was heard there"), help)
                } else if self.known.connected.contains(&device) {
                    let help = format!("put `- join: {{ who: {device}, room: {room} }}` before");
                    (format!("not in `{room}` by then"), help)
                } else {
                    let help = format!("connect {device} and let it join `{room}` before");
                    ("not connected by then".to_owned(), help)
                };
                let text = format!("`{device}` is {state}: it can never hear `{name}`");
                let help = format!("{help} the send");
                self.report(self.problem(place, text).with_help(help));
            } else {
                for (name, _) in &named {
                    self.can_be_heard(name, &device, place);
                }
            }
        }
        for (name, _) in named {
            self.has_its_place(&name);
            // Where something is broken, others may hear it much later.
            if let Some(message) =
                self.known.messages.get_mut(&name).filter(|_| !self.known.has_faults)
            {
                message.is_heard = true;
            }
        }
    }

    /// Once, but for who has asked for what it had missed.
    fn how_often(&mut self, times: Option<&Spanned<usize>>, devices: &[(String, Place)]) {
        let Some(times) = times.filter(|times| times.value != 1) else { return };
        if times.value == 0 {
            let problem = self.problem(times, "zero times at once is true before anything happens");
            self.report(
                problem.with_help("write `- never: { message: ..., to: ..., for: 500ms }`"),
            );
            return;
        }
        let may_hear_again =
            |name: &String| self.known.resumed.contains(name) || self.known.unsure.contains(name);
        if !devices.iter().any(|(device, _)| may_hear_again(device)) {
            let text = "each device hears a message once, however often it is sent";
            self.report(self.problem(times, text).with_help("write `times: 1`"));
        }
    }

    /// A message has one place, wherever it stands in order with others.
    pub(super) fn each_once<'n>(&mut self, names: impl Iterator<Item = &'n Spanned<String>>) {
        let mut known = BTreeSet::new();
        for name in names {
            if !known.insert(&name.value) && !self.known.shared.contains(&name.value) {
                let text = format!("`{}` stands here twice, and is there once", name.value);
                self.report(self.problem(name, text));
            }
        }
    }

    /// What is refused reaches nobody.
    fn must_be_kept(&mut self, name: &Spanned<String>) {
        let refusal = self.known.messages.get(&name.value).and_then(|it| it.refusal.clone());
        if let Some(refusal) = refusal {
            let text = format!("`{}` is answered `{refusal}`: it reaches nobody", name.value);
            let help = "write `- never: { message: ..., to: ..., for: 500ms }`";
            self.report(self.problem(name, text).with_help(help));
        }
    }

    /// What is refused is not stored, nor in a topic.
    pub(super) fn must_be_stored(&mut self, name: &Spanned<String>) {
        let refusal = self.known.messages.get(&name.value).and_then(|it| it.refusal.clone());
        if let Some(refusal) = refusal {
            let text = format!("`{}` is answered `{refusal}`: it is kept nowhere", name.value);
            self.report(self.problem(name, text));
        }
    }

    /// Whether a message has an id by then, which only those have that are kept.
    pub(super) fn has_id(&self, name: &str) -> bool {
        self.known.messages.get(name).is_some_and(|message| message.refusal.is_none())
    }

    pub(super) fn never(&mut self, step: &Spanned<Step>, never: &Never) {
        self.message(&never.message);
        self.times([&Some(never.lasting.clone())]);
        let named = self.known.messages.get(&never.message.value).cloned().unwrap_or_default();
        for (device, place) in self.devices(&never.to, step) {
            // That it hears nothing would say nothing.
            if !self.known.ever_connected.contains(&device) {
                let text = format!("`{device}` was never connected by then: it can hear nothing");
                self.report(self.problem(place, text));
            }
            let actor = device.split_once('.').map_or("", |(actor, _)| actor);
            let is_inside = named.room.as_ref().is_some_and(|room| {
                self.is_inside(&device, room)
                    && self.is_member_throughout(actor, room) == Some(true)
            });
            // Where something is broken it may have to wait.
            if is_inside
                && named.is_accepted
                && named.there.contains(&device)
                && !self.known.has_faults
                && !self.has_faults_beside()
                && !self.is_ended_beside(&device)
                && self.is_sure(&device)
                && self.scenario.stack.workers.value > 0
            {
                let (room, name) =
                    (named.room.as_deref().unwrap_or_default(), &never.message.value);
                let text = format!("`{device}` is in `{room}`: it hears `{name}`");
                self.report(
                    self.problem(place, text).with_help("write `deliver`, or another device"),
                );
            }
        }
    }
}

/// Whose device this is.
pub(super) fn actor_of(device: &str) -> &str {
    device.split_once('.').map_or(device, |(actor, _)| actor)
}

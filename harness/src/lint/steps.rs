//! Steps, one after the other, with what is true by then.

use std::path::Path;

use super::{Linter, Used, people::numbered, seen::TOPICS};
use crate::scenario::{
    AckWanted, Backends, Client, Connect, CrashHow, EndHow, Join, Never, Parallel, Place, Publish,
    Repeat, Request, Send, Spanned, Step, Stop, Text, Token, Use, Wait,
};

/// Most messages that one step may send, and rounds that it may repeat.
const COUNT_MAX: usize = 100_000;
const ROUNDS_MAX: usize = 10_000;

/// The errors of the contract: of `sendMessage`, and of `joinRoom` and `leaveRoom`.
const MESSAGE_ERRORS: [&str; 4] = [
    "Invalid message format",
    "Not a member of this room",
    "Message delivery failed",
    "Rate limit exceeded",
];
const ROOM_ERRORS: [&str; 4] =
    ["Invalid room", "Not a member of this room", "Temporarily unavailable", "Rate limit exceeded"];

const VERBS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

impl Linter<'_> {
    pub(super) fn step(&mut self, step: &Spanned<Step>) {
        match &step.value {
            Step::Connect(connect) => self.connect(step, connect),
            Step::Disconnect(who) => {
                for (device, place) in self.devices(who, step) {
                    self.must_be_connected(&device, place);
                    self.gone(&device);
                }
            }
            Step::Join(join) => self.join(step, join, true),
            Step::Leave(leave) => self.join(step, leave, false),
            Step::Send(send) => self.send(step, send),
            Step::Heartbeat(who) => {
                for (device, place) in self.devices(who, step) {
                    self.must_be_connected(&device, place);
                }
            }
            Step::Request(request) => self.request(request),
            Step::Raw(raw) => {
                self.writes_frames(&raw.device);
                self.names(&raw.frame);
            }
            Step::Wait(Wait { device, within, .. }) => {
                self.devices_named(&device.value, device.into());
                self.time(within);
            }
            Step::Expect(expect) => self.expect(step, expect),
            Step::Deliver(deliver) => self.deliver(step, deliver),
            Step::Never(never) => self.never(step, never),
            Step::Crash(crash) => {
                self.one_connected(&crash.device);
                if crash.how != CrashHow::Freeze {
                    for device in self.devices_named(&crash.device.value, (&crash.device).into()) {
                        self.gone(&device);
                    }
                }
            }
            Step::Network(network) => {
                self.devices_named(&network.device.value, (&network.device).into());
                self.times([&network.delay]);
            }
            Step::Stop(Stop { what, how }) => {
                // What only froze still runs.
                if self.process(what) && *how != EndHow::Freeze {
                    self.known.stopped.insert(what.value.clone());
                }
            }
            Step::RollingRestart(Stop { what, how }) => {
                self.must_end(*how, what);
                let known = ["gateways".to_owned(), "workers".to_owned()];
                self.is_one_of("group of processes", &what.value, &known, what.into());
            }
            Step::Start(what) => {
                if self.process(what) && !self.known.stopped.remove(&what.value) {
                    self.report(self.problem(what, format!("`{}` runs already", what.value)));
                }
            }
            Step::Restart(Stop { what, how }) => {
                self.must_end(*how, what);
                self.process(what);
            }
            Step::Freeze(what) | Step::Thaw(what) => {
                self.process(what);
            }
            Step::Publish(publish) => self.publish(publish),
            Step::Parallel(parallel) => self.parallel(step, parallel),
            Step::Repeat(repeat) => self.repeat(repeat),
            Step::Use(shared) => self.shared(shared),
        }
    }

    fn shared(&mut self, shared: &Use) {
        if Path::new(&shared.file.value).extension().is_none_or(|it| it != "yaml") {
            let text = "the steps to use stand in a `.yaml` file, named from this one";
            self.report(self.problem(&shared.file, text));
        }
        let is_outermost = self.used.is_none();
        self.used.get_or_insert_with(|| Used {
            place: Place::from(&shared.file),
            file: shared.file.value.clone(),
        });
        for step in &shared.steps {
            self.step(step);
        }
        if is_outermost {
            self.used = None;
        }
    }

    /// Frames as they are leave our own client alone.
    fn writes_frames(&mut self, device: &Spanned<String>) {
        self.one_connected(device);
        let named = device.value.split_once('.').and_then(|(actor, name)| {
            let devices = &self.scenario.actors.get(actor)?.value;
            devices.get(name)
        });
        if named.is_some_and(|named| named.value.client != Client::Raw) {
            let text = format!("`{}` has a client that writes no frames of ours", device.value);
            let help = "write `client: raw` where the device stands";
            self.report(self.problem(device, text).with_help(help));
        }
    }

    fn never(&mut self, step: &Spanned<Step>, never: &Never) {
        self.message(&never.message);
        self.time(&never.lasting);
        for (device, place) in self.devices(&never.to, step) {
            // That it hears nothing would say nothing.
            if !self.known.ever_connected.contains(&device) {
                let text = format!("`{device}` was never connected by then: it can hear nothing");
                self.report(self.problem(place, text));
            }
        }
    }

    /// Whether there is such an ack; a problem if not.
    fn ack(&mut self, event: &str, ack: Option<&Spanned<AckWanted>>) {
        let Some(ack) = ack else { return };
        let is_message = event == "sendMessage";
        let errors: &[&str] = if is_message { &MESSAGE_ERRORS } else { &ROOM_ERRORS };
        let word = match &ack.value {
            AckWanted::None | AckWanted::Any => return,
            AckWanted::Accepted if is_message => return,
            AckWanted::Success if !is_message => return,
            AckWanted::Truncated if event == "joinRoom" => return,
            AckWanted::Error(error) if errors.contains(&error.as_str()) => return,
            AckWanted::Error(error) => error.as_str(),
            AckWanted::Accepted => "ACCEPTED",
            AckWanted::Success => "success",
            AckWanted::Truncated => "truncated",
        };
        let problem = self.problem(ack, format!("`{event}` is never answered `{word}`"));
        let good = if is_message { "ACCEPTED" } else { "success" };
        let known = errors.iter().copied().chain([good, "any", "none"]);
        let mut problem = problem.with_known(word, known.clone());
        if problem.help.is_none() {
            let all: Vec<&str> = known.collect();
            problem = problem.with_help(format!("it is answered `{}`", all.join("`, `")));
        }
        self.report(problem);
    }

    /// What only froze cannot be started again.
    fn must_end(&mut self, how: EndHow, what: &Spanned<String>) {
        if how == EndHow::Freeze {
            let problem = self.problem(what, "what freezes has not ended, so nothing can start");
            self.report(problem.with_help("write `freeze`, and `thaw` later"));
        }
    }

    fn connect(&mut self, step: &Spanned<Step>, connect: &Connect) {
        let is_let_in = connect.accepted.unwrap_or(connect.token == Token::Good);
        for (device, place) in self.devices(&connect.who, step) {
            self.known.ever_connected.insert(device.clone());
            if is_let_in && !self.known.connected.insert(device.clone()) {
                let text = format!("`{device}` is connected already");
                self.report(self.problem(place, text).with_help("disconnect it first"));
            }
        }
    }

    fn gone(&mut self, device: &str) {
        self.known.connected.remove(device);
        self.known.joined.remove(device);
    }

    fn must_be_connected(&mut self, device: &str, place: Place) {
        if !self.known.connected.contains(device) {
            let problem = self.problem(place, format!("`{device}` is not connected by then"));
            self.report(problem.with_help(format!("put `- connect: {device}` before this step")));
        }
    }

    fn one_connected(&mut self, device: &Spanned<String>) {
        for name in self.devices_named(&device.value, device.into()) {
            self.must_be_connected(&name, device.into());
        }
    }

    fn join(&mut self, step: &Spanned<Step>, join: &Join, is_entering: bool) {
        let Join { who, room, payload, after, ack, within } = join;
        self.times([within]);
        self.ack(if is_entering { "joinRoom" } else { "leaveRoom" }, ack.as_ref());
        if let Some(payload) = payload {
            self.names_of(payload);
        }
        match (room, payload) {
            (None, None) => self.report(self.problem(step, "`room` is missing here")),
            (Some(_), Some(payload)) => {
                self.report(self.problem(payload, "`payload` replaces `room`: write one of them"));
            }
            (Some(room), None) => self.room(&room.value, room.into()),
            (None, Some(_)) => {}
        }
        if let Some(after) = after {
            if is_entering {
                self.message(after);
            } else {
                self.report(self.problem(after, "only `join` resumes after a message"));
            }
        }
        let succeeds = ack.as_ref().is_none_or(|ack| {
            matches!(ack.value, AckWanted::Success | AckWanted::Truncated | AckWanted::None)
        });
        for (device, place) in self.devices(who, step) {
            self.must_be_connected(&device, place);
            let Some(room) = room.as_ref().filter(|_| succeeds) else { continue };
            let rooms = self.known.joined.entry(device).or_default();
            if is_entering {
                rooms.insert(room.value.clone());
            } else {
                rooms.remove(&room.value);
            }
        }
    }

    fn send(&mut self, step: &Spanned<Step>, send: &Send) {
        let Send { from, room, text, payload, name, again, count, within, .. } = send;
        self.one_connected(from);
        self.ack("sendMessage", send.ack.as_ref());
        if let Some(Spanned { value: Text::Literal(literal), .. }) = text {
            self.names_in(literal, step.into());
        }
        if let Some(payload) = payload {
            self.names_of(payload);
        }
        self.times([within]);
        let ways = [text.is_some(), payload.is_some(), again.is_some()];
        match ways.iter().filter(|way| **way).count() {
            0 => {
                let help =
                    "write `text: \"hi\"`, `text: \"{{ any chat text }}\"`, `payload:` or `again:`";
                self.report(self.problem(step, "nothing is sent here").with_help(help));
            }
            1 => {}
            _ => {
                let text = "`text`, `payload` and `again` exclude each other: write one of them";
                self.report(self.problem(step, text));
            }
        }
        if text.is_some() && room.is_none() {
            self.report(self.problem(step, "`room` is missing here"));
        }
        if let Some(room) = room {
            self.room(&room.value, room.into());
        }
        if let Some(again) = again {
            self.message(again);
        }
        if let Some(count) = count
            && !(1..=COUNT_MAX).contains(&count.value)
        {
            let text = format!("`count` is 1 to {COUNT_MAX}, not {}", count.value);
            self.report(self.problem(count, text));
        }
        if let Some(name) = name {
            let room = room.as_ref().map(|room| room.value.clone());
            if self.known.messages.insert(name.value.clone(), room).is_some() {
                let text = format!("another message is named `{}` already", name.value);
                self.report(self.problem(name, text));
            }
        }
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

    fn request(&mut self, request: &Request) {
        let Request { by, call, to, capture, .. } = request;
        self.actor(&by.value, by.into());
        if let Some(to) = to {
            self.gateway(&to.value, to.into());
        }
        let is_call = call
            .value
            .split_once(' ')
            .is_some_and(|(verb, path)| VERBS.contains(&verb) && path.starts_with('/'));
        if !is_call {
            let problem = self.problem(call, format!("`{}` is no request", call.value));
            self.report(problem.with_help("write for example `call: POST /rooms`"));
        }
        self.names(call);
        for value in request.body.iter().chain(&request.reply) {
            self.names_of(value);
        }
        self.known.captured.extend(capture.keys().cloned());
    }

    fn publish(&mut self, publish: &Publish) {
        let topic = &publish.topic;
        if self.scenario.stack.backends == Backends::Embedded {
            let problem = self.problem(topic, "an embedded gateway has no Kafka");
            self.report(problem.with_help("write `stack: { backends: real }`"));
        }
        self.is_one_of("topic", &topic.value, &TOPICS.map(str::to_owned), topic.into());
        self.names(&publish.key);
        self.names_of(&publish.value);
    }

    /// Whether there is such a process; a problem if not.
    fn process(&mut self, what: &Spanned<String>) -> bool {
        let stack = &self.scenario.stack;
        let mut known = numbered("gw", stack.gateways.value);
        if stack.backends != Backends::Embedded {
            known.extend(numbered("worker", stack.workers.value));
            known.extend(["kafka", "redis", "postgres"].map(str::to_owned));
        }
        if ["kafka", "redis", "postgres"].contains(&what.value.as_str())
            && stack.backends == Backends::Embedded
        {
            let text = format!("an embedded gateway has no `{}`", what.value);
            let problem = self.problem(what, text);
            self.report(problem.with_help("write `stack: { backends: real }`"));
            return false;
        }
        self.is_one_of("process", &what.value, &known, what.into())
    }

    fn parallel(&mut self, step: &Spanned<Step>, parallel: &Parallel) {
        if parallel.0.len() < 2 {
            self.report(self.problem(step, "`parallel` needs two blocks or more"));
        }
        let before = self.known.clone();
        let mut after = before.clone();
        for block in &parallel.0 {
            // A block cannot count on what another one does meanwhile.
            self.known = before.clone();
            for step in block {
                self.step(step);
            }
            after.connected.append(&mut self.known.connected);
            after.ever_connected.append(&mut self.known.ever_connected);
            after.messages.append(&mut self.known.messages);
            after.captured.append(&mut self.known.captured);
            after.stopped.append(&mut self.known.stopped);
            for (device, rooms) in &mut self.known.joined {
                after.joined.entry(device.clone()).or_default().append(rooms);
            }
        }
        self.known = after;
    }

    fn repeat(&mut self, repeat: &Repeat) {
        let Repeat { times, steps } = repeat;
        if !(1..=ROUNDS_MAX).contains(&times.value) {
            let text = format!("`times` is 1 to {ROUNDS_MAX}, not {}", times.value);
            self.report(self.problem(times, text));
        }
        for step in steps {
            self.step(step);
        }
    }
}

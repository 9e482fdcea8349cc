//! Steps, one after the other, with what is true by then.

use super::{Linter, Used, answers::GOODBYES, known::Known};
use crate::files::SCENARIO_ENDS;
use crate::scenario::{
    AckWanted, Client, Connect, Join, Place, Repeat, Spanned, Step, Token, TokenPlace, Transport,
    Use, Wait, WaitFor, Who,
};

/// Most rounds of a repetition.
const ROUNDS_MAX: usize = 10_000;

impl Linter<'_> {
    pub(super) fn step(&mut self, step: &Spanned<Step>) {
        match &step.value {
            Step::Connect(connect) => self.connect(step, connect),
            Step::Disconnect(who) => {
                let devices = self.devices(who, step);
                self.some_to_end(&devices);
                for (device, _) in devices {
                    self.gone(&device);
                }
            }
            Step::Join(join) => self.join(step, join, true),
            Step::Leave(leave) => self.join(step, leave, false),
            Step::Send(send) => self.send(step, send),
            Step::Heartbeat(who) => {
                for (device, place) in self.devices(who, step) {
                    self.must_be_connected(&device, place);
                    self.must_be_answered(&device, None, place);
                    self.known.asked.insert(device);
                }
            }
            Step::Request(request) => self.request(request),
            Step::Raw(raw) => {
                self.writes_frames(&raw.device);
                self.known.unsure.insert(raw.device.value.clone());
                self.names(&raw.frame);
                self.writes_by_hand(&raw.frame.value);
                self.known.asked.insert(raw.device.value.clone());
                if GOODBYES.contains(&raw.frame.value.as_str()) {
                    self.known.joined.retain(|(known, _)| *known != raw.device.value);
                    self.known.dismissed.insert(raw.device.value.clone());
                } else if raw.frame.value.starts_with("40") {
                    self.known.dismissed.remove(&raw.device.value);
                }
            }
            Step::Wait(wait) => self.wait(wait),
            Step::Expect(expect) => self.expect(step, expect),
            Step::Deliver(deliver) => self.deliver(step, deliver),
            Step::Never(never) => self.never(step, never),
            Step::Crash(_)
            | Step::Network(_)
            | Step::Stop(_)
            | Step::Start(_)
            | Step::Freeze(_)
            | Step::Thaw(_)
            | Step::Restart(_)
            | Step::RollingRestart(_) => self.fault(&step.value),
            Step::Publish(publish) => self.publish(publish),
            Step::Parallel(parallel) => self.parallel(step, parallel),
            Step::Repeat(repeat) => self.repeat(repeat),
            Step::Use(shared) => self.shared(shared),
        }
    }

    fn wait(&mut self, wait: &Wait) {
        let Wait { device, until, within } = wait;
        self.time(within);
        let place = Place::from(device);
        for device in self.devices_named(&device.value, place) {
            let was_connected =
                self.known.ever_connected.contains(&device) || self.is_connected_beside(&device);
            let may_be_there =
                self.known.lost.contains(&device) || self.is_connected_beside(&device);
            if until.value == WaitFor::Connected && may_be_there {
                self.is_there(&device);
            }
            if until.value != WaitFor::Connected && !was_connected {
                let text = format!("`{device}` was never connected by then");
                self.report(self.problem(place, text).with_help("connect it before"));
            } else if until.value == WaitFor::Answered
                && !self.known.asked.contains(&device)
                && self.blocks == 0
                && self.scenario.stack.heartbeat.is_none()
            {
                let text = format!("`{device}` has asked for no ack since it connected");
                let help = format!("put a step before that asks: `- heartbeat: {device}`");
                self.report(self.problem(place, text).with_help(help));
            }
            if until.value == WaitFor::Upgraded && !self.upgrades(&device) {
                let text = format!("`{device}` does not change its transport");
                let help = "write `transport: upgrade` where the device stands";
                self.report(self.problem(place, text).with_help(help));
            }
            if matches!(until.value, WaitFor::Disconnected | WaitFor::Closed) {
                self.loses_its_connection(&device);
            }
        }
    }

    fn shared(&mut self, shared: &Use) {
        let file = shared.file.value.to_lowercase();
        if !SCENARIO_ENDS.iter().any(|end| file.ends_with(end)) {
            let text = "the steps to use stand in a `.yaml` file, named from this one";
            self.report(self.problem(&shared.file, text));
        }
        let outer = self.used.take();
        let place = outer.as_ref().map_or(Place::from(&shared.file), |outer| outer.place);
        self.used = Some(Used { place, file: shared.path.clone() });
        for step in &shared.steps {
            self.step(step);
        }
        self.used = outer;
    }

    /// Frames as they are leave our own client alone.
    fn writes_frames(&mut self, device: &Spanned<String>) {
        self.one_connected(device);
        self.one_device(device);
        if self.described(&device.value).is_some_and(|it| it.client != Client::Raw) {
            let text = format!("`{}` has a client that writes no frames of ours", device.value);
            let help = "write `client: raw` where the device stands";
            self.report(self.problem(device, text).with_help(help));
        }
    }

    fn connect(&mut self, step: &Spanned<Step>, connect: &Connect) {
        if connect.accepted == Some(true) && !connect.token.is_good() {
            let problem = self.problem(step, "no gateway lets in who shows such a token");
            self.report(problem.with_help("leave `accepted` out, or `token`"));
        }
        // A header beside a bad `auth.token` does not help.
        let is_read = !matches!(
            connect.via,
            TokenPlace::HeaderBesideBadAuth | TokenPlace::HeaderBesideNumber
        );
        if connect.accepted == Some(false) && connect.token == Token::Good && is_read {
            let problem = self.problem(step, "a good token is let in");
            self.report(problem.with_help("leave `accepted` out, or write a bad `token`"));
        } else if connect.accepted != Some(false) && connect.token == Token::Good && !is_read {
            let problem = self.problem(step, "a header does not make a bad `auth.token` good");
            self.report(problem.with_help("write `accepted: false`"));
        }
        let is_let_in = connect.accepted.unwrap_or(connect.token.is_good());
        let devices = self.devices(&connect.who, step);
        if let Some(name) = &connect.name {
            if devices.len() > 1 {
                let text = "one name for several sockets: connect the device that it is for alone";
                self.report(self.problem(name, text));
            }
            self.known.captured.insert(name.value.clone());
        }
        for (device, place) in devices {
            self.known.asked.remove(&device);
            self.must_run(&device, place);
            self.must_have_a_network(&device, place);
            if self.known.connected.contains(&device) && self.is_held(&device) {
                let text = format!("`{device}` is connected already");
                let help = format!(
                    "disconnect it first, or put `- wait: {{ device: {device}, until: disconnected, within: 5s }}` before"
                );
                self.report(self.problem(place, text).with_help(help));
            }
            self.gone(&device);
            self.is_there(&device);
            if !is_let_in {
                // Its program may end a connection that is none.
                self.loses_its_connection(&device);
            }
        }
    }

    fn is_there(&mut self, device: &str) {
        self.known.ever_connected.insert(device.to_owned());
        self.known.connected.insert(device.to_owned());
        self.known.lost.remove(device);
        self.known.dismissed.remove(device);
    }

    /// Whether nothing that the file tells may have ended its connection.
    fn is_held(&self, device: &str) -> bool {
        self.is_sure(device)
            && !self.known.dismissed.contains(device)
            && !self.known.has_frozen
            && !self.is_broken_beside(device)
            && !self.is_ended_beside(device)
    }

    /// One of these devices has a connection to end, as far as its program knows; a problem if none has.
    pub(super) fn some_to_end(&mut self, devices: &[(String, Place)]) {
        let has_one = |device: &String| {
            let Known { connected, lost, .. } = &self.known;
            connected.contains(device) || lost.contains(device) || self.is_connected_beside(device)
        };
        // Whatever stands at one place is one name.
        let none = |place: &Place| !devices.iter().any(|(it, at)| at == place && has_one(it));
        let mut places: Vec<Place> = devices.iter().map(|(_, place)| *place).collect();
        places.dedup();
        places.retain(none);
        for place in places {
            if let Some((device, _)) = devices.iter().find(|(_, at)| *at == place) {
                self.must_be_connected(device, place);
            }
        }
    }

    pub(super) fn gone(&mut self, device: &str) {
        self.known.connected.remove(device);
        self.known.lost.remove(device);
        self.known.dismissed.remove(device);
        self.known.joined.retain(|(known, _)| known != device);
    }

    fn must_be_connected(&mut self, device: &str, place: Place) {
        if !self.known.connected.contains(device) && !self.is_connected_beside(device) {
            let problem = self.problem(place, format!("`{device}` is not connected by then"));
            self.report(problem.with_help(format!("put `- connect: {device}` before this step")));
        }
    }

    pub(super) fn one_connected(&mut self, device: &Spanned<String>) {
        for name in self.devices_named(&device.value, device.into()) {
            self.must_be_connected(&name, device.into());
        }
    }

    fn upgrades(&self, device: &str) -> bool {
        self.described(device).is_some_and(|it| it.transport == Transport::Upgrade)
    }

    /// A device, and not all of somebody's.
    pub(super) fn one_device(&mut self, device: &Spanned<String>) {
        let actors = &self.scenario.actors;
        let first = actors.get(&device.value).and_then(|all| all.value.keys().next());
        if first.is_some() || device.value == Who::EVERYONE {
            let text = format!("`{}` may be several devices: one is meant here", device.value);
            let problem = self.problem(device, text);
            let example =
                first.map(|first| format!("write for example `{}.{first}`", device.value));
            let help = example.unwrap_or_else(|| "name one: `alice.phone`".to_owned());
            self.report(problem.with_help(help));
        }
    }

    fn join(&mut self, step: &Spanned<Step>, join: &Join, is_entering: bool) {
        let Join { who, room, payload, after, ack, within } = join;
        let succeeds = ack.as_ref().is_none_or(|ack| {
            matches!(ack.value, AckWanted::Success | AckWanted::Truncated | AckWanted::None)
        });
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
            (Some(room), None) => {
                self.room(&room.value, room.into());
                if after.is_none() {
                    self.names_a_room(room, ack.as_ref());
                }
            }
            (None, Some(_)) => {}
        }
        if let Some(after) = after {
            if payload.is_some() {
                let text = "`payload` is all that is sent: write `after` in it";
                self.report(self.problem(after, text));
            } else if is_entering {
                self.message(after);
                // A message of another room is what is refused as an invalid one.
                if let Some(room) = room.as_ref().filter(|_| succeeds) {
                    self.is_of_room(after, &room.value);
                }
            } else {
                self.report(self.problem(after, "only `join` resumes after a message"));
            }
        }
        for (device, place) in self.devices(who, step) {
            self.must_be_connected(&device, place);
            self.must_be_answered(&device, ack.as_ref(), place);
            self.asks(&device, ack.as_ref());
            // Which room it is, or whether it was let in, shows only when it runs.
            if payload.is_some() || ack.as_ref().is_some_and(|it| it.value == AckWanted::Any) {
                self.known.unsure.insert(device.clone());
            }
            let Some(room) = room else { continue };
            if !is_entering && self.known.captured.contains(&room.value) {
                // It may be a second name of another room.
                self.known.unsure.insert(device.clone());
            }
            let event = if is_entering { "joinRoom" } else { "leaveRoom" };
            self.member(event, &device, &room.value, ack.as_ref(), place);
            if !succeeds {
                continue;
            }
            if is_entering {
                self.enters(device, &room.value, after.is_some());
            } else {
                self.known.joined.remove(&(device, room.value.clone()));
            }
        }
    }

    fn repeat(&mut self, repeat: &Repeat) {
        let Repeat { times, steps } = repeat;
        if !(1..=ROUNDS_MAX).contains(&times.value) {
            let text = format!("`times` is 1 to {ROUNDS_MAX}, not {}", times.value);
            self.report(self.problem(times, text));
        }
        if steps.is_empty() {
            self.report(self.problem(times, "`steps` is empty: nothing is repeated"));
        }
        // What one round leaves behind is what the next one begins with.
        let was_again = self.is_again;
        // The rounds of an outer one bring the second round of this one.
        let rounds = if was_again { 1 } else { 2 };
        for round in 0..times.value.min(rounds) {
            self.is_again = was_again || round > 0;
            for step in steps {
                self.step(step);
            }
        }
        self.is_again = was_again;
    }
}

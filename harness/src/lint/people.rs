//! Actors, devices, rooms: who exists.

use std::collections::{BTreeMap, BTreeSet};

use super::{Linter, stack::PROCESSES_MAX};
use crate::scenario::{
    Backends, Client, DEVICES_MAX, Device, Place, Problem, Spanned, Step, Who, closest,
};

impl Linter<'_> {
    pub(super) fn people(&mut self) {
        let scenario = self.scenario;
        if scenario.actors.is_empty() {
            let place = Place::of_key(self.source, "actors");
            self.report(self.problem(place, "`actors` is empty: nobody does anything"));
        }
        for (actor, devices) in &scenario.actors {
            self.name("an actor", actor, devices.into());
            if devices.value.is_empty() {
                self.report(self.problem(devices, format!("`{actor}` has no device")));
            }
            for (device, described) in &devices.value {
                self.name("a device", device, described.into());
                self.gateway(&described.value.gateway, described.into());
                self.kind(described);
            }
        }
        for (room, members) in &scenario.rooms {
            self.name("a room", room, members.into());
            if scenario.actors.contains_key(room) {
                let text =
                    format!("`{room}` is an actor already: `${{{room}}}` would mean two things");
                self.report(self.problem(members, text).with_help("give the room another name"));
            }
            for member in &members.value {
                if !scenario.actors.contains_key(&member.value) {
                    let text = format!("there is no actor `{}`", member.value);
                    let known = scenario.actors.keys().map(String::as_str);
                    let problem = self.problem(member, text).with_known(&member.value, known);
                    self.report(problem);
                }
            }
        }
    }

    /// A room that one step alone speaks of, and whose name is nearly that of another one, is a slip of the pen.
    pub(super) fn lonely_rooms(&mut self) {
        if !self.scenario.rooms.is_empty() {
            return;
        }
        let mut spoken = Vec::new();
        rooms_of(&self.scenario.steps, &mut spoken);
        let mut times = BTreeMap::<&str, usize>::new();
        for room in &spoken {
            *times.entry(room.name).or_default() += 1;
        }
        for (name, times) in &mut times {
            // In payloads, keys and frames it is spoken of as well.
            *times += self.source.matches(&format!("${{{name}}}")).count();
        }
        // `room-a` and `room-b`, `lobby1` and `lobby2` are two rooms.
        let letters = |name: &str| {
            let before = name.rsplit_once(['-', '_']).map_or(name, |(before, _)| before);
            before.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()
        };
        // Who is in a room of their own, of which no other step speaks, is to hear nothing of another one.
        let lonely =
            spoken.iter().enumerate().filter(|(_, room)| times[room.name] == 1 && !room.is_joined);
        for (index, Spoken { name, place, .. }) in lonely {
            // Of two that are spoken of once the second one is the slip.
            let is_known = |at: usize, other: &Spoken<'_>| at < index || times[other.name] > 1;
            let known = spoken.iter().enumerate().filter(|(at, other)| is_known(*at, other));
            let known: BTreeSet<&str> = known.map(|(_, other)| other.name).collect();
            let known: Vec<&str> = known.into_iter().filter(|it| it != name).collect();
            let meant = closest(name, &known).filter(|meant| {
                // `sales` and `tales` are two words; what lacks a letter, or has two of them changed about, is none.
                let is_other_word = name.len() == meant.len() && sorted(name) != sorted(meant);
                let is_slip = times[meant] > 1 || !is_other_word;
                name.len() > 4 && letters(name) != letters(meant) && is_slip
            });
            if let Some(meant) = meant {
                let text = format!("no other step speaks of the room `{name}`");
                let problem = self.problem(*place, text);
                let help = format!(
                    "did you mean `{meant}`? If not, name both below `rooms`, with their members"
                );
                self.report(problem.with_help(help));
            }
        }
    }

    /// Whether the scenario speaks of any room.
    pub(super) fn has_rooms(&self) -> bool {
        let mut spoken = Vec::new();
        rooms_of(&self.scenario.steps, &mut spoken);
        !self.scenario.rooms.is_empty() || !spoken.is_empty()
    }

    fn kind(&mut self, device: &Spanned<Device>) {
        if !device.value.pongs && device.value.client != Client::Raw {
            let problem = self.problem(device, "only our own client can leave pings unanswered");
            self.report(problem.with_help("write `client: raw`"));
        }
        let count = device.value.count;
        if !(1..=DEVICES_MAX).contains(&count) {
            let text = format!("`count` is 1 to {DEVICES_MAX}, not {count}");
            self.report(self.problem(device, text));
        }
    }

    pub(super) fn name(&mut self, what: &str, name: &str, place: Place) {
        if !is_word(name) {
            let text = format!("`{name}` is no name for {what}: use a-z, 0-9, `-` and `_`");
            self.report(self.problem(place, text));
        } else if name == "uuid" {
            let text = "`${uuid}` is a new id each time, whatever else is called so";
            self.report(self.problem(place, text).with_help("give it another name"));
        } else if name == Who::EVERYONE {
            let text = format!("`{name}` stands for all devices, it cannot be {what}");
            self.report(self.problem(place, text));
        } else if ["a room", "a message"].contains(&what) {
            self.is_nobody(name, place);
        }
    }

    /// `${alice}` is the actor, whatever else has her name.
    fn is_nobody(&mut self, name: &str, place: Place) {
        if self.scenario.actors.contains_key(name) {
            let text = format!("`{name}` is an actor already, and `${{{name}}}` would be both");
            self.report(self.problem(place, text).with_help("give it another name"));
        }
    }

    /// Whether there is such a gateway; a problem if not.
    pub(super) fn gateway(&mut self, name: &str, place: Place) -> bool {
        let names = numbered("gw", self.scenario.stack.gateways.value);
        let problems = self.problems.len();
        let is_known = self.is_one_of("gateway", name, &names, place);
        let number = name.strip_prefix("gw").and_then(|number| number.parse::<usize>().ok());
        if let (Some(problem), Some(number)) = (self.problems.get_mut(problems), number)
            && (names.len() + 1..=PROCESSES_MAX).contains(&number)
            && self.scenario.stack.backends != Backends::Embedded
        {
            problem.help = Some(format!("write `stack: {{ gateways: {number} }}`"));
        }
        is_known
    }

    pub(super) fn is_one_of(
        &mut self,
        what: &str,
        name: &str,
        known: &[String],
        place: Place,
    ) -> bool {
        if known.iter().any(|known| known == name) {
            return true;
        }
        let problem = self.problem(place, format!("there is no {what} `{name}`"));
        self.report(help(problem, name, known.iter().map(String::as_str)));
        false
    }

    /// The devices behind one name; a problem if there is none.
    pub(super) fn devices_named(&mut self, name: &str, place: Place) -> Vec<String> {
        let actors = &self.scenario.actors;
        let all = || {
            actors.iter().flat_map(|(actor, devices)| {
                devices.value.keys().map(move |device| format!("{actor}.{device}"))
            })
        };
        if name == Who::EVERYONE {
            return all().collect();
        }
        if let Some(devices) = actors.get(name) {
            return devices.value.keys().map(|device| format!("{name}.{device}")).collect();
        }
        let known: Vec<String> = all().collect();
        if known.iter().any(|known| known == name) {
            return vec![name.to_owned()];
        }
        let what = if name.contains('.') { "device" } else { "actor or device" };
        let problem = self.problem(place, format!("there is no {what} `{name}`"));
        let actors = actors.keys().map(String::as_str);
        let names = known.iter().map(String::as_str).chain(actors).chain([Who::EVERYONE]);
        self.report(help(problem, name, names));
        Vec::new()
    }

    /// A device as the head of the scenario has it.
    pub(super) fn described(&self, device: &str) -> Option<&Device> {
        let (actor, device) = device.split_once('.')?;
        Some(&self.scenario.actors.get(actor)?.value.get(device)?.value)
    }

    pub(super) fn actor(&mut self, name: &str, place: Place) {
        let known: Vec<String> = self.scenario.actors.keys().cloned().collect();
        self.is_one_of("actor", name, &known, place);
    }

    /// A room that the scenario declares, or any if it declares none.
    pub(super) fn room(&mut self, name: &str, place: Place) {
        let rooms = &self.scenario.rooms;
        if rooms.is_empty() || self.known.captured.contains(name) {
            self.is_nobody(name, place);
            return;
        }
        let known: Vec<String> = rooms.keys().cloned().collect();
        self.is_one_of("room", name, &known, place);
    }
}

/// What may be meant by a name that nothing has.
fn help<'a>(problem: Problem, name: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let parameter = name.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    match parameter {
        Some(parameter) => problem.with_help(format!(
            "a name is written as it is; in a shared file `use` fills it in: `with: {{ {parameter}: ... }}`"
        )),
        None => problem.with_known(name, known),
    }
}

/// Whether anything of a scenario can be called so.
pub(super) fn is_word(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    !name.is_empty() && name.chars().all(is_letter)
}

/// `gw1`, `gw2`, ...
pub(super) fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("{prefix}{n}")).collect()
}

/// A room of which a step speaks.
struct Spoken<'s> {
    name: &'s str,
    place: Place,
    /// A device enters it, no more.
    is_joined: bool,
}

/// The rooms that steps speak of, each time that they do; those of shared files aside, which have other places.
fn rooms_of<'s>(steps: &'s [Spanned<Step>], spoken: &mut Vec<Spoken<'s>>) {
    for step in steps {
        let is_joined = matches!(step.value, Step::Join(_));
        let room = step.value.room().map(str::trim);
        spoken.extend(room.map(|name| Spoken { name, place: Place::from(step), is_joined }));
        if !matches!(step.value, Step::Use(_)) {
            for block in step.value.blocks() {
                rooms_of(block, spoken);
            }
        }
    }
}

fn sorted(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
}

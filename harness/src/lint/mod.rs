//! Whether the names of a scenario mean anything, and whether its steps can ever be true.
//!
//! Reads a scenario as the engine would run it, step by step, with what is known by then: who is connected, who is in
//! which room, which messages have a name. Collects every mistake.

mod again;
mod answers;
mod beside;
mod faults;
mod hearing;
mod held;
mod known;
mod members;
mod names;
mod order;
mod people;
mod publish;
mod redis;
mod request;
mod seen;
mod send;
mod snapshot;
mod stack;
mod steps;

use beside::Deeds;
use known::Known;
pub use stack::SETTINGS;

use std::time::Duration;

use crate::scenario::{INVARIANTS, Place, Problem, RULES, Scenario, Spanned, Step, Time, Who};

/// Everything that is wrong with `scenario`, which was read from `source`, in the order of the lines.
pub fn lint(file: &str, source: &str, scenario: &Scenario) -> Vec<Problem> {
    let mut linter = Linter {
        file,
        source,
        scenario,
        problems: Vec::new(),
        known: Known::default(),
        used: None,
        is_again: false,
        blocks: 0,
        beside: Vec::new(),
        sends: 0,
    };
    linter.head();
    linter.stack();
    linter.people();
    linter.lonely_rooms();
    linter.snapshot();
    for step in &scenario.steps {
        linter.step(step);
    }
    linter.problems.sort_by_key(|problem| problem.place);
    linter.problems
}

/// Most mistakes that are told of one place.
const PROBLEMS_OF_A_PLACE_MAX: usize = 3;

/// The longest time of a step.
const TIME_MAX: Duration = Duration::from_hours(1);

struct Linter<'a> {
    file: &'a str,
    source: &'a str,
    scenario: &'a Scenario,
    problems: Vec<Problem>,
    known: Known,
    /// The shared file whose steps are read.
    used: Option<Used>,
    /// The steps of a repetition are read for the second time.
    is_again: bool,
    /// How many `parallel`s what is read stands in.
    blocks: usize,
    /// What the blocks beside these do.
    beside: Vec<Deeds>,
    /// How many times a named message was sent by then.
    sends: usize,
}

struct Used {
    /// Where the scenario uses it, or what uses it: a mistake shows here, since the file may be right elsewhere.
    place: Place,
    /// The innermost file, from the current directory.
    file: String,
}

impl Linter<'_> {
    fn problem(&self, place: impl Into<Place>, text: impl Into<String>) -> Problem {
        let place_within = place.into();
        match &self.used {
            None => Problem::new(self.file, self.source, place_within, text),
            Some(Used { place, file }) => {
                let line = place_within.line;
                let text = format!("{} (in `{file}`, line {line})", text.into());
                Problem::new(self.file, self.source, *place, text)
            }
        }
    }

    fn report(&mut self, problem: Problem) {
        // Hundreds of devices alike make the same mistake at once, as does a second round, and steps of a shared file have one
        // place.
        let mut here = self.problems.iter().filter(|it| it.place == problem.place);
        let is_known = here.clone().any(|it| it.text == problem.text);
        if !is_known && here.nth(PROBLEMS_OF_A_PLACE_MAX - 1).is_none() {
            self.problems.push(problem);
        }
    }

    fn head(&mut self) {
        let Scenario { scenario, spec, without, steps, .. } = self.scenario;
        if scenario.value.trim().is_empty() {
            self.report(self.problem(scenario, "`scenario` is empty: say what it shows"));
        }
        if let Some(spec) = spec
            && !RULES.iter().any(|(name, _)| *name == spec.value)
        {
            let problem = self.problem(spec, format!("there is no rule `{}`", spec.value));
            let problem = problem.with_known(&spec.value, RULES.iter().map(|(name, _)| *name));
            self.report(problem);
        }
        for name in without {
            if !INVARIANTS.iter().any(|(known, _)| *known == name.value) {
                let problem = self.problem(name, format!("there is no invariant `{}`", name.value));
                let known = INVARIANTS.iter().map(|(known, _)| *known);
                self.report(problem.with_known(&name.value, known));
            }
        }
        if steps.is_empty() {
            let place = Place::of_key(self.source, "steps");
            self.report(self.problem(place, "`steps` is empty: nothing is shown"));
        }
    }

    /// A time that uses a name which the stack leaves undefined, or that is none at all.
    fn time(&mut self, time: &Spanned<Time>) {
        let stack = &self.scenario.stack;
        if time.value.names().any(|name| name == "heartbeat") && stack.heartbeat.is_none() {
            let problem = self.problem(time, "the stack has no `heartbeat`");
            self.report(problem.with_help("write `stack: { heartbeat: 200ms }`"));
        } else if time.value.resolve(stack.times()).is_zero() {
            let text = format!("`{}` is no time at all", time.value);
            let help = "write how long it is, such as `500ms`";
            self.report(self.problem(time, text).with_help(help));
        }
    }

    fn times<'t>(&mut self, times: impl IntoIterator<Item = &'t Option<Spanned<Time>>>) {
        for time in times.into_iter().flatten() {
            self.time(time);
            if time.value.resolve(self.scenario.stack.times()) > TIME_MAX {
                let text = format!("`{}` is longer than an hour", time.value);
                self.report(self.problem(time, text));
            }
        }
    }

    /// The devices that are meant, each once, with problems for those that do not exist.
    fn devices(&mut self, who: &Spanned<Who>, step: &Spanned<Step>) -> Vec<(String, Place)> {
        let own = Place::from(who);
        let place = if own.line == 0 { Place::from(step) } else { own };
        let names: Vec<(&str, Place)> = match &who.value {
            Who::One(name) => vec![(name, place)],
            Who::Many(names) => {
                names.iter().map(|name| (name.value.as_str(), Place::from(name))).collect()
            }
        };
        if names.is_empty() {
            self.report(self.problem(place, "the list is empty: name a device"));
        }
        let mut devices: Vec<(String, Place)> = Vec::new();
        for (name, place) in names {
            for device in self.devices_named(name, place) {
                if devices.iter().all(|(known, _)| *known != device) {
                    devices.push((device, place));
                }
            }
        }
        devices
    }
}

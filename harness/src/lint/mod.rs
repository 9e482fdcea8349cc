//! Whether the names of a scenario mean anything, and whether its steps can ever be true.
//!
//! Reads a scenario as the engine would run it, step by step, with what is known by then: who is connected, who is in
//! which room, which messages have a name. Collects every mistake.

mod names;
mod people;
mod seen;
mod snapshot;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use crate::scenario::{
    Backends, INVARIANTS, Place, Problem, RULES, Scenario, Spanned, Step, Time, Who,
};

/// Most gateways and workers that a scenario may ask for.
const PROCESSES_MAX: usize = 8;

/// Everything that is wrong with `scenario`, which was read from `source`, in the order of the lines.
pub fn lint(file: &str, source: &str, scenario: &Scenario) -> Vec<Problem> {
    let mut linter = Linter {
        file,
        source,
        scenario,
        problems: Vec::new(),
        known: Known::default(),
        used: None,
    };
    linter.head();
    linter.stack();
    linter.people();
    linter.snapshot();
    for step in &scenario.steps {
        linter.step(step);
    }
    linter.problems.sort_by_key(|problem| problem.place);
    linter.problems
}

/// Most mistakes that are told of one place.
const PROBLEMS_OF_A_PLACE_MAX: usize = 3;

struct Linter<'a> {
    file: &'a str,
    source: &'a str,
    scenario: &'a Scenario,
    problems: Vec<Problem>,
    known: Known,
    /// The `use` whose steps are read: what is wrong there shows here, since the file may be right elsewhere.
    used: Option<Used>,
}

struct Used {
    place: Place,
    file: String,
}

/// What is true after the steps so far.
#[derive(Clone, Debug, Default)]
struct Known {
    connected: BTreeSet<String>,
    ever_connected: BTreeSet<String>,
    /// Rooms by device.
    joined: BTreeMap<String, BTreeSet<String>>,
    /// Named messages, with their room if it is known.
    messages: BTreeMap<String, Option<String>>,
    captured: BTreeSet<String>,
    stopped: BTreeSet<String>,
}

impl Linter<'_> {
    fn problem(&self, place: impl Into<Place>, text: impl Into<String>) -> Problem {
        match &self.used {
            None => Problem::new(self.file, self.source, place.into(), text),
            Some(Used { place, file }) => {
                let text = format!("{} (in `{file}`)", text.into());
                Problem::new(self.file, self.source, *place, text)
            }
        }
    }

    fn report(&mut self, problem: Problem) {
        // Hundreds of devices alike make the same mistake at once, and steps of a shared file have one place.
        let mut here = self.problems.iter().filter(|it| it.place == problem.place);
        let is_known = self.used.is_some() && here.clone().any(|it| it.text == problem.text);
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
            self.report(self.problem(Place::default(), "`steps` is empty: nothing is shown"));
        }
    }

    fn stack(&mut self) {
        let stack = &self.scenario.stack;
        for (what, count, least) in
            [("gateways", &stack.gateways, 1), ("workers", &stack.workers, 0)]
        {
            if !(least..=PROCESSES_MAX).contains(&count.value) {
                let text = format!("`{what}` is {least} to {PROCESSES_MAX}, not {}", count.value);
                self.report(self.problem(count, text));
            }
        }
        if stack.backends == Backends::Embedded && stack.gateways.value > 1 {
            let text = "an embedded gateway is one process: it has no second one beside it";
            let problem = self.problem(&stack.gateways, text);
            self.report(problem.with_help("write `gateways: 1`, or `backends: real`"));
        }
        let ping = stack.ping.iter().flat_map(|ping| [&ping.interval, &ping.timeout]);
        let times = [&stack.heartbeat, &stack.presence_ttl, &stack.lease].into_iter().flatten();
        for time in ping.chain(times).collect::<Vec<_>>() {
            if let Some(name) = time.value.names().next() {
                let text = format!("the stack defines `${{{name}}}`, it cannot use it");
                self.report(self.problem(time, text));
            }
        }
        for name in stack.settings.keys() {
            let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            if !name.chars().all(is_name) {
                let place = Place::from(&stack.settings[name]);
                let text =
                    format!("`{name}` is not the name of a setting, such as `MAILBOX_EVENTS_MAX`");
                self.report(self.problem(place, text));
            }
        }
    }

    /// A time that uses a name which the stack leaves undefined.
    fn time(&mut self, time: &Spanned<Time>) {
        let stack = &self.scenario.stack;
        if time.value.names().any(|name| name == "heartbeat") && stack.heartbeat.is_none() {
            let problem = self.problem(time, "the stack has no `heartbeat`");
            self.report(problem.with_help("write `stack: { heartbeat: 200ms }`"));
        }
    }

    fn times<'t>(&mut self, times: impl IntoIterator<Item = &'t Option<Spanned<Time>>>) {
        for time in times.into_iter().flatten() {
            self.time(time);
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

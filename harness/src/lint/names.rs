//! Names in texts and payloads: whether each `${...}` stands for something by then.

use serde_json::Value;

use super::{Linter, people::is_word};
use crate::scenario::{Place, Spanned, Step};

/// What can be done with what a name stands for.
const FILTERS: [&str; 2] = ["upper", "lower"];

impl Linter<'_> {
    /// Every `${name}` of a text.
    pub(super) fn names(&mut self, text: &Spanned<String>) {
        self.names_in(&text.value, text.into());
    }

    /// Every `${name}` of a payload.
    pub(super) fn names_of(&mut self, value: &Spanned<Value>) {
        self.names_of_json(&value.value, value.into());
    }

    fn names_of_json(&mut self, value: &Value, place: Place) {
        match value {
            Value::String(text) => self.names_in(text, place),
            Value::Array(items) => items.iter().for_each(|item| self.names_of_json(item, place)),
            Value::Object(fields) => {
                for (name, item) in fields {
                    self.names_in(name, place);
                    self.names_of_json(item, place);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    pub(super) fn names_in(&mut self, text: &str, place: Place) {
        let mut before = String::new();
        let mut rest = text;
        while let Some((ahead, after)) = rest.split_once("${") {
            if let Some(ahead) = ahead.strip_suffix('$') {
                // `$${` is no name.
                before.push_str(ahead);
                rest = after;
                continue;
            }
            let Some((written, after)) = after.split_once('}') else {
                let problem = self.problem(place, "a `${` is never closed");
                self.report(problem.with_help("write `${name}`, or `$${` for what is no name"));
                return;
            };
            before.push_str(ahead);
            let (name, filter) = written
                .split_once('|')
                .map_or((written, None), |(name, filter)| (name, Some(filter.trim())));
            let name = name.trim();
            if let Some(filter) = filter.filter(|it| !FILTERS.contains(it)) {
                let problem = self.problem(place, format!("`|{filter}` is unknown"));
                self.report(problem.with_help("there are `|upper` and `|lower`"));
            }
            if !self.stands_for_something(name, before.ends_with("/rooms/")) {
                let problem =
                    self.problem(place, format!("`${{{name}}}` stands for nothing by then"));
                let known = self.names_by_now();
                let mut problem = problem.with_known(name, known.iter().map(String::as_str));
                let is_near = problem.help.as_ref().is_some_and(|it| it.starts_with("did you"));
                if !is_near && self.used.is_some() {
                    let help = format!("let `use` fill it in: `with: {{ {name}: ... }}`");
                    problem = problem.with_help(help);
                } else if !is_near && !name.split('.').all(is_word) {
                    problem = problem.with_help("write `$${` for a `${` that begins no name");
                } else if !is_near && self.scenario.rooms.is_empty() && !name.contains('.') {
                    let help = format!(
                        "a room that no step names is to be declared: `rooms: {{ {name}: [...] }}`"
                    );
                    problem = problem.with_help(help);
                }
                self.report(problem);
            }
            rest = after;
        }
    }

    pub(super) fn stands_for_something(&self, name: &str, is_room: bool) -> bool {
        let scenario = self.scenario;
        let is_device = |device: &str| {
            device.split_once('.').is_some_and(|(actor, device)| {
                scenario.actors.get(actor).is_some_and(|it| it.value.contains_key(device))
            })
        };
        // Where no room is declared each that is spoken of is made.
        let is_made = scenario.rooms.is_empty()
            && (is_room || speak_of(&scenario.steps, name))
            && !is_captured(&scenario.steps, name);
        is_made
            || self.names_by_now().iter().any(|known| known == name)
            || name.strip_suffix(".id").is_some_and(|it| self.has_id(it))
            || name.strip_suffix(".socket").is_some_and(|device| {
                is_device(device) && self.known.ever_connected.contains(device)
            })
    }

    fn names_by_now(&self) -> Vec<String> {
        let scenario = self.scenario;
        let people = scenario.actors.keys().chain(scenario.rooms.keys()).cloned();
        let so_far = self.known.captured.iter().chain(self.known.messages.keys()).cloned();
        people.chain(so_far).chain(["uuid".to_owned()]).collect()
    }
}

/// Whether a step names this room.
fn speak_of(steps: &[Spanned<Step>], name: &str) -> bool {
    steps.iter().any(|step| {
        step.value.room() == Some(name)
            || step.value.blocks().into_iter().any(|block| speak_of(block, name))
    })
}

/// Whether a request gives this name to something.
fn is_captured(steps: &[Spanned<Step>], name: &str) -> bool {
    steps.iter().any(|step| {
        let is_here = if let Step::Request(request) = &step.value {
            request.capture.contains_key(name)
                || request.name.as_ref().is_some_and(|it| it.value == name)
        } else {
            false
        };
        is_here || step.value.blocks().into_iter().any(|block| is_captured(block, name))
    })
}

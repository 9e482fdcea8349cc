//! What scenarios touch, how often, and what none of them does. Read from their types, never by running them; what there is
//! to touch comes from the language itself, so that something new shows as a gap without anybody's help.

mod count;
mod known;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::scenario::Scenario;

/// What the scenarios touch, in sections: rules, steps, acks, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    pub scenarios: usize,
    pub sections: Vec<Section>,
}

/// One kind of thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    pub name: &'static str,
    /// In the order in which they are known, then what is not known, in alphabetical order.
    pub lines: Vec<Line>,
}

/// One thing, and how often it is touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub name: String,
    /// By this many steps, devices or files; a step that is repeated counts once.
    pub times: usize,
    pub scenarios: usize,
}

/// How often each thing is touched, and by which scenarios.
type Counts = BTreeMap<&'static str, BTreeMap<String, (usize, BTreeSet<usize>)>>;

impl Coverage {
    /// Of these scenarios.
    pub fn of<'s>(scenarios: impl IntoIterator<Item = &'s Scenario>) -> Self {
        let mut counts = Counts::new();
        let mut number = 0;
        for scenario in scenarios {
            count::scenario(scenario, &mut |section, name| {
                let (times, by) = counts.entry(section).or_default().entry(name).or_default();
                *times += 1;
                by.insert(number);
            });
            number += 1;
        }
        let sections = known::sections().into_iter().map(|(name, known)| {
            let mut touched = counts.remove(name).unwrap_or_default();
            let line = |name: String, (times, by): (usize, BTreeSet<usize>)| Line {
                name,
                times,
                scenarios: by.len(),
            };
            let mut lines: Vec<Line> = known
                .into_iter()
                .map(|name| {
                    let counted = touched.remove(&name).unwrap_or_default();
                    line(name, counted)
                })
                .collect();
            lines.extend(touched.into_iter().map(|(name, counted)| line(name, counted)));
            Section { name, lines }
        });
        Self { scenarios: number, sections: sections.collect() }
    }

    /// A table for people: what is touched, and the gaps below.
    pub fn table(&self) -> String {
        table::table(self)
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let sections = self.sections.iter().map(|section| {
            let lines = section.lines.iter().map(|Line { name, times, scenarios }| {
                json!({"name": name, "times": times, "scenarios": scenarios})
            });
            let gaps: Vec<&str> = section.gaps().map(|line| line.name.as_str()).collect();
            json!({"name": section.name, "touched": lines.collect::<Value>(), "gaps": gaps})
        });
        json!({"scenarios": self.scenarios, "sections": sections.collect::<Value>()})
    }
}

impl Section {
    /// What no scenario touches.
    pub fn gaps(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.times == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{RULES, parse};

    fn of(steps: &str) -> Coverage {
        let head = "scenario: x\nspec: drain\nactors: { alice: { phone: { gateway: gw1, client: raw } } }\nsteps:\n";
        Coverage::of([&parse("x.yaml", &format!("{head}{steps}")).unwrap()])
    }

    fn times(coverage: &Coverage, section: &str, name: &str) -> Option<usize> {
        let section = coverage.sections.iter().find(|it| it.name == section).unwrap();
        section.lines.iter().find(|line| line.name == name).map(|line| line.times)
    }

    #[test]
    fn steps_inside_of_others_count() {
        let coverage =
            of("  - parallel: [[{ connect: alice }], [{ stop: { what: gw2, how: kill } }]]\n  \
            - repeat: { times: 9, steps: [{ crash: { device: alice.phone, how: rst } }] }\n  \
            - send: { from: alice.phone, room: a, text: b, ack: Invalid room }\n  \
            - request: { by: alice, call: \"GET /rooms/${a}/messages?limit=7\", status: 400 }\n  \
            - raw: { device: alice.phone, frame: '42[\"joinRoom\"' }\n");
        for (section, name) in [
            ("rules", "drain"),
            ("steps", "repeat"),
            ("drivers", "raw"),
            ("transports", "websocket"),
            ("faults", "stop: kill"),
            ("faults", "crash: rst"),
            ("fault targets", "gateway"),
            ("fault targets", "device"),
            ("events", "sendMessage"),
            ("events", "joinRoom"),
            ("acks", "Invalid room"),
            ("HTTP calls", "GET /rooms/:id/messages"),
            ("HTTP statuses", "400"),
        ] {
            assert_eq!(times(&coverage, section, name), Some(1), "{section} {name}");
        }
        // Of the connection and of the request.
        assert_eq!(times(&coverage, "tokens", "good"), Some(2));
        assert_eq!(times(&coverage, "tokens", "expired"), Some(0));
        assert_eq!(times(&coverage, "faults", "stop: sideways"), None);
    }

    #[test]
    fn every_rule_is_touched_or_a_gap() {
        let coverage = of("  - connect: alice\n");
        assert_eq!(coverage.sections[0].lines.len(), RULES.len());
        assert_eq!(coverage.sections[0].gaps().count(), RULES.len() - 1);
        // A list that the language has lost would have no gap at all.
        for section in coverage.sections.iter().filter(|it| it.name != "invariants left out") {
            assert!(section.lines.len() > 1, "{}", section.name);
        }
    }
}

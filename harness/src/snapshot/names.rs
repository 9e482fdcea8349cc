//! Names instead of what differs from run to run: ids, times, tokens, made-up texts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use crate::{
    history::{History, IdNames, Story, letter_case},
    scenario::{Scenario, Spanned, Step, Text},
};

/// Longest text that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// What ids are called. Ids that nobody has named are numbered as they come.
#[derive(Debug)]
pub(super) struct Names {
    known: IdNames,
    unnamed: BTreeMap<String, usize>,
    /// Texts that the scenario says literally; `None`: it makes nothing up.
    literal: Option<BTreeSet<String>>,
}

impl Names {
    pub(super) fn new(scenario: &Scenario, history: &History, story: &Story) -> Self {
        let known = IdNames::new(history, story);
        let mut literal = BTreeSet::new();
        let makes_up = literals(&scenario.steps, &mut literal);
        Self { known, unnamed: BTreeMap::new(), literal: makes_up.then_some(literal) }
    }

    /// From here on `id` is called `name`, unless it has a name.
    pub(super) fn call(&mut self, id: &str, name: &str) {
        self.known.call(id, name);
    }

    pub(super) fn of(&self, id: &str) -> Option<&str> {
        self.known.of(id)
    }

    /// JSON in one line, its keys in order: names and `<...>` bare, all other texts in quotes.
    pub(super) fn json(&mut self, value: &Value) -> String {
        match value {
            Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
            Value::Object(fields) => {
                let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
                let fields: Vec<String> =
                    sorted.into_iter().map(|(name, value)| self.field(name, value)).collect();
                format!("{{ {} }}", fields.join(", "))
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.json(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::String(text) => self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        }
    }

    fn field(&mut self, name: &str, value: &Value) -> String {
        let is_made_up = name == "content"
            && self
                .literal
                .as_ref()
                .is_some_and(|literal| value.as_str().is_some_and(|text| !literal.contains(text)));
        let shown = if is_made_up { "<made up>".to_owned() } else { self.json(value) };
        format!("{name}: {shown}")
    }

    /// A text as JSON, or what it stands for.
    fn text(&mut self, text: &str) -> String {
        if let Some(name) = self.of(text) {
            return format!("{name}{}", letter_case(text));
        }
        if text.len() == Uuid::nil().to_string().len() && Uuid::try_parse(text).is_ok() {
            let next = self.unnamed.len() + 1;
            let number = self.unnamed.entry(text.to_lowercase()).or_insert(next);
            return format!("<id {number}>");
        }
        if is_time(text) {
            return "<time>".to_owned();
        }
        if text == "<token>" || text.starts_with("eyJ") && text.split('.').count() == 3 {
            return "<token>".to_owned();
        }
        Value::from(self.line(text)).to_string()
    }

    /// Any text, with names instead of the ids in it, and its beginning if it is long.
    pub(super) fn line(&self, text: &str) -> String {
        let named = self.known.in_text(text);
        let units = named.encode_utf16().count();
        if named.chars().count() <= SHOWN_CHARS_MAX {
            return named;
        }
        let begin: String = named.chars().take(SHOWN_CHARS_MAX / 2).collect();
        format!("{begin}… ({units} units)")
    }
}

/// `2026-01-31T12:00:00.000Z`.
fn is_time(text: &str) -> bool {
    let is_fit = |(index, byte): (usize, u8)| match index {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        0..19 => byte.is_ascii_digit(),
        _ => byte.is_ascii_digit() || b".Z+:-".contains(&byte),
    };
    text.len() >= 20 && text.bytes().enumerate().all(is_fit)
}

/// Collects what is said literally; whether anything is made up.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "no other step says anything or has steps of its own"
)]
fn literals(steps: &[Spanned<Step>], literal: &mut BTreeSet<String>) -> bool {
    let mut makes_up = false;
    for step in steps {
        match &step.value {
            Step::Send(send) => {
                match send.text.as_ref().map(|text| &text.value) {
                    Some(Text::Literal(text)) => drop(literal.insert(text.clone())),
                    Some(Text::Any(_)) => makes_up = true,
                    None => {}
                }
                if let Some(Value::String(text)) =
                    send.payload.as_ref().map(|it| &it.value["content"])
                {
                    literal.insert(text.clone());
                }
            }
            Step::Parallel(parallel) => {
                for block in &parallel.0 {
                    makes_up |= literals(block, literal);
                }
            }
            Step::Repeat(repeat) => makes_up |= literals(&repeat.steps, literal),
            Step::Use(shared) => makes_up |= literals(&shared.steps, literal),
            _ => {}
        }
    }
    makes_up
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_from_run_to_run_has_a_name() {
        let mut history = History::default();
        history.call("11111111-2222-4333-8444-555555555555", "hi");
        let scenario =
            crate::scenario::parse("x.yaml", "scenario: x\nactors: {}\nsteps: []").unwrap();
        let mut names = Names::new(&scenario, &history, &Story::default());
        let mut check = |value: Value, shown: &str| assert_eq!(names.json(&value), shown);
        check(json!("11111111-2222-4333-8444-555555555555"), "hi");
        check(json!("AAAAAAAA-2222-4333-8444-555555555555"), "<id 1>");
        check(json!("bbbbbbbb-2222-4333-8444-555555555555"), "<id 2>");
        check(json!("aaaaaaaa-2222-4333-8444-555555555555"), "<id 1>");
        check(json!("2026-01-31T12:00:00.000Z"), "<time>");
        check(json!("2026-01-31"), "\"2026-01-31\"");
        check(json!({"b": 7, "a": ["7", null], "c": {}}), r#"{ a: ["7", null], b: 7, c: {} }"#);
        let long = "é".repeat(100);
        check(json!(long), &format!("\"{}… (100 units)\"", "é".repeat(40)));
    }
}

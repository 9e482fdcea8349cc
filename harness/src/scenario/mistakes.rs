//! Every mistake of form in a file, not only the first one.

use serde_json::Value;

use super::{Place, Problem, parse};

/// Most mistakes that are told of one file.
const MISTAKES_MAX: usize = 20;

/// What stands in for a step that is wrong while the others are read.
const PLACEHOLDER: &str = "heartbeat: nobody";

/// Everything that is wrong with the form of a file that [`parse`] refuses. Of a file that is no YAML only the first mistake:
/// nobody knows what the rest would be without it.
pub fn mistakes(file: &str, source: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut text = source.to_owned();
    while problems.len() < MISTAKES_MAX {
        let Err(problem) = parse(file, &text) else { break };
        let rest = without_step(&text, problem.place);
        problems.push(problem);
        match rest.filter(|_| serde_saphyr::from_str::<Value>(&text).is_ok()) {
            Some(rest) => text = rest,
            None => break,
        }
    }
    problems
}

/// The file with something harmless instead of the step in which this place is; `None`: it is in none.
fn without_step(text: &str, place: Place) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let wrong = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let steps = lines.iter().position(|line| line.starts_with("steps:"))?;
    let indent = |line: &str| line.len() - line.trim_start().len();
    let first = steps + 1 + lines[steps + 1..].iter().position(|line| is_item(line))?;
    let own = indent(lines[first]);
    let begins = |line: &str| is_item(line) && indent(line) == own;
    let ends = |line: &str| !line.trim().is_empty() && (begins(line) || indent(line) < own);
    let begin = (first..=wrong).rev().find(|at| lines.get(*at).is_some_and(|it| begins(it)))?;
    let end = (begin + 1..lines.len()).find(|at| ends(lines[*at])).unwrap_or(lines.len());
    if wrong >= end || lines[begin].contains(PLACEHOLDER) {
        return None;
    }
    let mut rest: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    for line in &mut rest[begin..end] {
        line.clear();
    }
    rest[begin] = format!("{}- {PLACEHOLDER}", " ".repeat(own));
    Some(rest.join("\n"))
}

fn is_item(line: &str) -> bool {
    line.trim_start().starts_with("- ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn each_wrong_step_is_told() {
        let source = "scenario: x\nactors: { alice: { phone: gw1 } }\nsteps:\n  - conect: alice\n  - connect: alice\n  - jion:\n      who: alice\n  - send: { form: alice.phone }\n";
        let told: Vec<String> = mistakes("x.yaml", source)
            .iter()
            .map(|problem| format!("{}: {}", problem.place.line, problem.text))
            .collect();
        let expected = [
            "4: `conect` is unknown here",
            "6: `jion` is unknown here",
            "8: there is no `form` here",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_mistake_outside_of_the_steps_is_the_only_one() {
        let source = "scenario: x\nactor: {}\nsteps:\n  - conect: alice\n";
        assert_eq!(mistakes("x.yaml", source).len(), 1);
        assert_eq!(mistakes("x.yaml", "steps: [").len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            drop(mistakes("any.yaml", &format!("steps:\n{text}")));
        }
    }
}

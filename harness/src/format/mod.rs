//! The one way to write a scenario: indentation, columns of verbs and of names, spaces in `{ }` and `[ ]`, ends of lines.
//!
//! Works on lines, so that comments stay where they are. It leaves a file alone in which it is not sure of a line (anchors,
//! tags, tabs, several documents), and whatever it would change in the meaning.

mod flow;
mod layout;
mod lines;
mod nodes;

use serde_json::Value;

use crate::scenario::{Place, Problem, parse};

/// A file's text as it should be. An error if it is no YAML; whether it is a scenario does not matter.
pub fn format(file: &str, source: &str) -> Result<String, Problem> {
    let Some(meaning) = meaning_of(source) else {
        let unclear = || Problem::new(file, source, Place::default(), "the file is no YAML");
        return Err(parse(file, source).err().unwrap_or_else(unclear));
    };
    let is_same = |text: &String| {
        meaning_of(text).as_ref() == Some(&meaning)
            && lines::comments(text) == lines::comments(source)
            && layout::layout(text).as_ref() == Some(text)
    };
    Ok(layout::layout(source).filter(is_same).unwrap_or_else(|| source.to_owned()))
}

fn meaning_of(source: &str) -> Option<Value> {
    serde_saphyr::from_str(source).ok()
}

#[cfg(test)]
mod tests;

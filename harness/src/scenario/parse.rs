//! YAML to a [`Scenario`], strictly, and the library's errors in our words.

use serde_saphyr::Error;

use super::{Place, Problem, Scenario};

/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: usize = 1_000_000;

/// Reads a file's text. `file` is its name in the problem. Stops at the first mistake of form.
pub fn parse(file: &str, source: &str) -> Result<Scenario, Problem> {
    if source.len() > FILE_BYTES_MAX {
        let text = format!("the file is longer than {FILE_BYTES_MAX} bytes");
        return Err(Problem::new(file, source, Place::default(), text));
    }
    if source.trim().is_empty() {
        let problem = Problem::new(file, source, Place::default(), "the file is empty");
        return Err(problem.with_help("`harness new` writes a scenario to begin with"));
    }
    serde_saphyr::from_str(source).map_err(|error| in_our_words(file, source, &error))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "dozens of kinds, which say it well themselves")]
pub(super) fn in_our_words(file: &str, source: &str, error: &Error) -> Problem {
    let error = error.without_snippet();
    let place = error.location().map(Place::from).unwrap_or_default();
    let problem = |text: String| Problem::new(file, source, place, text);
    match error {
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            problem(format!("`{variant}` is unknown here"))
                .with_known(variant, expected.iter().copied())
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            problem(format!("there is no `{field}` here"))
                .with_known(field, expected.iter().copied())
        }
        Error::SerdeMissingField { field, .. } => problem(format!("`{field}` is missing here")),
        Error::SerdeInvalidType { unexpected, expected, .. } => {
            problem(format!("this is {unexpected}, wanted is {expected}"))
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            problem(format!("`{key}` is there twice"))
        }
        Error::Message { msg, .. } | Error::ExternalMessage { msg, .. } => problem(msg.clone()),
        Error::MultipleDocuments { .. } => problem("a file holds one scenario".to_owned())
            .with_help("put what comes after `---` into a file of its own"),
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            problem("a step has one verb, and this is a second one".to_owned())
                .with_help("make a step of its own of it: a line that begins with `- `")
        }
        other => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or_default();
            // The place is said already.
            let first = first.split_once(" at line ").map_or(first, |(text, _)| text);
            let problem = problem(first.to_owned());
            if place.line <= 1 && first.contains("mapping") {
                return problem.with_help("a scenario begins with `scenario: what it shows`");
            }
            problem
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            drop(parse("any.yaml", &text));
        }

        #[test]
        fn no_damage_to_a_good_file_makes_it_panic(at in any::<prop::sample::Index>(), with: String) {
            let good = include_str!("../../tests/scenarios/crashed-device.yaml");
            let places: Vec<usize> = good.char_indices().map(|(index, _)| index).collect();
            let (before, after) = good.split_at(places[at.index(places.len())]);
            drop(parse("any.yaml", &format!("{before}{with}{after}")));
        }
    }

    use proptest::prelude::prop;
}

//! YAML to a [`Scenario`], strictly, and the library's errors in our words.

use serde_saphyr::Error;

use super::{Place, Problem, Scenario, people::spread, words::in_plain_words};

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
    let mut scenario: Scenario =
        serde_saphyr::from_str(source).map_err(|error| in_our_words(file, source, &error))?;
    for devices in scenario.actors.values_mut() {
        spread(&mut devices.value).map_err(|(name, place)| {
            let text = format!("`{name}` is the name of one of several devices alike, too");
            Problem::new(file, source, place, text).with_help("give it another name")
        })?;
    }
    Ok(scenario)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "dozens of kinds, which say it well themselves")]
pub(super) fn in_our_words(file: &str, source: &str, error: &Error) -> Problem {
    let error = error.without_snippet();
    let place = error.location().map(Place::from).unwrap_or_default();
    let end = end_of(source, place);
    let is_at_the_end = end.is_some();
    let place = end.unwrap_or(place);
    let problem = |text: String| Problem::new(file, source, place, text);
    // Names that are unknown may say anything.
    let is_of_names = matches!(
        error,
        Error::SerdeUnknownVariant { .. }
            | Error::SerdeUnknownField { .. }
            | Error::DuplicateMappingKey { .. }
    );
    let is_of_tabs =
        !is_of_names && [" tab", "tabs "].iter().any(|it| error.to_string().contains(it));
    if let Some(problem) = tab(file, source, place).filter(|_| is_of_tabs) {
        return problem;
    }
    let is_of_brackets = !is_of_names
        && [" flow ", "illegal placement"].iter().any(|it| error.to_string().contains(it));
    if let Some(place) = left_open_before(source, place).filter(|_| is_of_brackets) {
        return Problem::new(file, source, place, "this bracket is never closed")
            .with_help("close it in the same step");
    }
    match error {
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            problem(format!("`{variant}` is unknown here"))
                .with_known(variant, expected.iter().copied())
        }
        Error::SerdeUnknownField { field, expected, .. }
            if *field == "shared" && expected.contains(&"scenario") =>
        {
            problem("this is a file of shared steps, and no scenario".to_owned())
                .with_help("it is read where a scenario says `use`: check that one")
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            problem(format!("there is no `{field}` here"))
                .with_known(field, expected.iter().copied())
        }
        Error::SerdeMissingField { field, .. } => problem(format!("`{field}` is missing here")),
        Error::SerdeInvalidType { unexpected, expected, .. } => {
            // What YAML calls null is nothing at all to who wrote the file.
            let unexpected = if unexpected.contains("unit") { "nothing" } else { unexpected };
            problem(format!("this is {unexpected}, wanted is {expected}"))
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            problem(format!("`{key}` is there twice"))
        }
        Error::Message { msg, .. } | Error::ExternalMessage { msg, .. } => {
            reworded(msg, source, place, problem)
        }
        // Where another step comes after it that one is the place.
        Error::UnexpectedSequenceEnd { .. } if is_at_the_end => {
            problem("this step says its verb and no more".to_owned())
                .with_help("write what it is about: `- connect: alice.phone`")
        }
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
            no_yaml(first, source, place, problem)
        }
    }
}

/// What the reader of YAML itself has stopped at.
fn no_yaml(
    said: &str,
    source: &str,
    place: Place,
    problem: impl FnOnce(String) -> Problem,
) -> Problem {
    if place.line <= 1 && place.column <= 1 {
        let said = in_plain_words(said).map_or(said, |(words, _)| words);
        return problem(said.to_owned())
            .with_help("a scenario begins with `scenario: what it shows`");
    }
    reworded(said, source, place, problem)
}

/// The letter at this place, if it is one that YAML keeps for itself.
fn reserved(source: &str, place: Place) -> Option<char> {
    let line = source.lines().nth(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
    let letter = line.chars().nth(usize::try_from(place.column).ok()?.checked_sub(1)?)?;
    ['@', '`', '%'].contains(&letter).then_some(letter)
}

/// The line that a tab begins, from this place on.
fn tab(file: &str, source: &str, place: Place) -> Option<Problem> {
    let mut lines = (1..).zip(source.lines()).skip_while(|(line, _)| *line < place.line);
    let (line, _) = lines.find(|(_, line)| {
        line.trim_start_matches(' ').starts_with('\t') && !line.trim().is_empty()
    })?;
    let problem = Problem::new(
        file,
        source,
        Place { line, column: 1 },
        "there is a tab at the beginning of this line",
    );
    Some(problem.with_help("use spaces"))
}

/// The last line that says something, if the place is behind it.
fn end_of(source: &str, place: Place) -> Option<Place> {
    let lines = (1..).zip(source.lines()).filter(|(_, line)| !line.trim().is_empty());
    let (line, text) = lines.last().filter(|(line, _)| *line < place.line)?;
    let column = text.chars().take_while(|letter| *letter == ' ').count() as u64 + 1;
    Some(Place { line, column })
}

/// The bracket that the line before this place leaves open, if a new step begins at it.
fn left_open_before(source: &str, place: Place) -> Option<Place> {
    let index = usize::try_from(place.line).ok()?.checked_sub(2)?;
    let mut lines = source.lines().skip(index);
    let (before, here) = (lines.next()?, lines.next()?);
    if !here.trim_start().starts_with("- ") {
        return None;
    }
    let (mut open, mut quote) = (Vec::new(), None);
    // The letter before, and the last one before it that is no space.
    let (mut last, mut solid) = (' ', '-');
    for (column, letter) in (1..).zip(before.chars()) {
        match (quote, letter) {
            (None, '#') if last == ' ' => break,
            // Within a word it is an apostrophe.
            (None, '"' | '\'') if "{[,:-".contains(solid) => quote = Some(letter),
            (Some(quoted), _) if quoted == letter => quote = None,
            (None, '{' | '[') => open.push(column),
            (None, '}' | ']') => drop(open.pop()),
            _ => {}
        }
        last = letter;
        if letter != ' ' {
            solid = letter;
        }
    }
    open.pop().map(|column| Place { line: place.line - 1, column })
}

fn reworded(
    said: &str,
    source: &str,
    place: Place,
    problem: impl FnOnce(String) -> Problem,
) -> Problem {
    if let Some(letter) = reserved(source, place).filter(|_| said.contains("unexpected character"))
    {
        return problem(format!("a text that begins with `{letter}` needs quotes"));
    }
    match in_plain_words(said) {
        Some((words, Some(help))) => problem(words.to_owned()).with_help(help),
        Some((words, None)) => problem(words.to_owned()),
        None => problem(said.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn the_bracket_that_a_line_leaves_open_is_found() {
        let open = |line: &str| {
            let source = format!("{line}\n  - heartbeat: alice");
            left_open_before(&source, Place { line: 2, column: 3 }).map(|place| place.column)
        };
        assert_eq!(open("  - send: { text: \"}\", as: [a, b]"), Some(11));
        assert_eq!(open("  - join: { who: [a, b }"), Some(11));
        for whole in ["  - send: { text: it's me }", "  - heartbeat: a   # { as in", "  - a: '{'"] {
            assert_eq!(open(whole), None, "{whole}");
        }
    }

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

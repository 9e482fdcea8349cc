//! Steps that scenarios share: a file with `steps:`, in which `${name}` stands for what `use` gives with it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use super::{Place, Problem, Scenario, Spanned, Step, parse::in_our_words};

/// How deep shared files may use others.
const DEPTH_MAX: usize = 5;

/// How long the files that a scenario uses may be in all, in bytes; one that is used twice counts twice.
const BYTES_MAX: usize = 1_000_000;

/// What may end the text around a parameter.
const QUOTES: [char; 3] = ['"', '\'', '\\'];

/// A shared file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shared {
    /// What it does, for people.
    #[expect(dead_code, reason = "for who reads the file")]
    shared: Option<String>,
    steps: Vec<Spanned<Step>>,
}

/// Reads the files that `use` names, relative to the scenario's own file.
pub fn load_shared(file: &str, source: &str, scenario: &mut Scenario) -> Result<(), Problem> {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let mut bytes_left = BYTES_MAX;
    load(file, source, folder, &mut scenario.steps, 0, &mut bytes_left)
}

fn load(
    file: &str,
    source: &str,
    folder: &Path,
    steps: &mut [Spanned<Step>],
    depth: usize,
    bytes_left: &mut usize,
) -> Result<(), Problem> {
    for step in steps {
        if let Step::Use(shared) = &mut step.value {
            let path = folder.join(&shared.file.value);
            let place = Place::from(&shared.file);
            let problem = |text: String| Problem::new(file, source, place, text);
            if depth >= DEPTH_MAX {
                return Err(problem("shared files use each other too deeply".to_owned()));
            }
            let text = fs::read_to_string(&path)
                .map_err(|error| problem(format!("reading `{}`: {error}", path.display())))?;
            let surplus =
                shared.with.iter().find(|(name, _)| !text.contains(&format!("${{{name}}}")));
            if let Some((name, value)) = surplus {
                let said = format!("`{}` has no `${{{name}}}` to fill in", path.display());
                return Err(Problem::new(file, source, Place::from(value), said));
            }
            if let Some(value) = shared.with.values().find(|it| it.value.contains('\n')) {
                let said = "what a parameter stands for is put in as it is: it has one line";
                return Err(Problem::new(file, source, Place::from(value), said));
            }
            if text.lines().any(|line| line.starts_with("scenario:")) {
                let said =
                    format!("`{}` is a scenario, not a file of shared steps", path.display());
                return Err(
                    problem(said).with_help("such a file begins with `shared:` or `steps:`")
                );
            }
            let written = text;
            let text = filled(&written, &shared.with, bytes_left).ok_or_else(|| {
                problem(format!("the shared files are longer than {BYTES_MAX} bytes in all"))
            })?;
            let name = path.display().to_string();
            if let Some(value) = intruder(&written, &text, &shared.with) {
                let said = format!("this changes what stands around it in `{}`", short(&path));
                let help = "it is put in as it is: write it without quotes and without `\\`";
                return Err(Problem::new(file, source, Place::from(value), said).with_help(help));
            }
            let read: Shared = serde_saphyr::from_str(&text).map_err(|error| {
                let problem = in_our_words(&name, &text, &error);
                as_written(problem, &written, &shared.with)
            })?;
            shared.steps = read.steps;
            let folder = path.parent().unwrap_or(folder);
            load(&name, &text, folder, &mut shared.steps, depth + 1, bytes_left)?;
            (shared.path, shared.source) = (short(&path), text);
        } else if let Step::Repeat(repeat) = &mut step.value {
            load(file, source, folder, &mut repeat.steps, depth, bytes_left)?;
        } else if let Step::Parallel(parallel) = &mut step.value {
            for block in &mut parallel.0 {
                load(file, source, folder, block, depth, bytes_left)?;
            }
        }
    }
    Ok(())
}

/// A text with its parameters; `None` if it is longer than what is left.
fn filled(
    written: &str,
    with: &BTreeMap<String, Spanned<String>>,
    bytes_left: &mut usize,
) -> Option<String> {
    let (mut text, mut rest) = (String::new(), written);
    while !rest.is_empty() {
        let (name, value) = piece(rest, with);
        *bytes_left = bytes_left.checked_sub(value.len())?;
        text.push_str(value);
        rest = &rest[name.len()..];
    }
    Some(text)
}

/// The first parameter with quotes that changes more of the file than the text in which it stands; `None` as well of a file
/// that is wrong whatever stands there.
fn intruder<'w>(
    written: &str,
    text: &str,
    with: &'w BTreeMap<String, Spanned<String>>,
) -> Option<&'w Spanned<String>> {
    let first = with.values().find(|it| it.value.contains(QUOTES))?;
    // Letters that nobody writes stand in for them; numbers and lists among the others have to stay what they are.
    let mark = |n: usize| format!("\u{e000}{n}\u{e000}");
    let mut marked = with.clone();
    for (n, value) in marked.values_mut().enumerate() {
        if value.value.contains(QUOTES) {
            value.value = mark(n);
        }
    }
    let mut bytes_left = usize::MAX;
    let plain = filled(written, &marked, &mut bytes_left)?;
    let json = |text: &str| Some(serde_saphyr::from_str::<Value>(text).ok()?.to_string());
    let mut plain = json(&plain)?;
    for (n, value) in with.values().enumerate() {
        let quoted = Value::from(value.value.as_str()).to_string();
        plain = plain.replace(&mark(n), &quoted[1..quoted.len() - 1]);
    }
    (json(text) != Some(plain)).then_some(first)
}

/// The problem at the place where it stands in the file, in which parameters are not filled in yet.
fn as_written(
    problem: Problem,
    written: &str,
    with: &BTreeMap<String, Spanned<String>>,
) -> Problem {
    let index = usize::try_from(problem.place.line).unwrap_or(0);
    let Some(line) = index.checked_sub(1).and_then(|index| written.lines().nth(index)) else {
        return problem;
    };
    let (mut filled, mut column, mut rest) = (1, 1, line);
    while !rest.is_empty() {
        let (piece, value) = piece(rest, with);
        let length = value.chars().count() as u64;
        if filled + length > problem.place.column {
            break;
        }
        filled += length;
        column += piece.chars().count() as u64;
        rest = &rest[piece.len()..];
    }
    let place = Place { column, ..problem.place };
    Problem { place, line: line.to_owned(), ..problem }
}

/// What a text begins with, a parameter or a letter, and what that is once it is filled in.
fn piece<'t>(text: &'t str, with: &'t BTreeMap<String, Spanned<String>>) -> (&'t str, &'t str) {
    if text.starts_with("$${") {
        return ("$${", "$${");
    }
    let name = text.strip_prefix("${").and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
    if let Some((name, value)) = name.and_then(|name| with.get_key_value(name)) {
        return (&text[..name.len() + "${}".len()], &value.value);
    }
    let letter = &text[..text.chars().next().map_or(0, char::len_utf8)];
    (letter, letter)
}

/// Without the steps up and down that lead there: `rooms/../shared/x.yaml` is `shared/x.yaml`.
fn short(path: &Path) -> String {
    let mut short = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if short.file_name().is_some() => {
                short.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_)
            | Component::RootDir
            | Component::ParentDir
            | Component::Normal(_) => short.push(part),
        }
    }
    short.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_more_than_its_own_text_is_found() {
        let is_refused = |written: &str, value: &str| {
            let with: BTreeMap<String, Spanned<String>> =
                serde_saphyr::from_str(&serde_json::json!({ "x": value }).to_string()).unwrap();
            let mut bytes_left = usize::MAX;
            let text = filled(written, &with, &mut bytes_left).unwrap();
            intruder(written, &text, &with).is_some()
        };
        assert!(!is_refused("steps: [{ a: '${x}' }]", r#"42["x",{}]"#));
        assert!(!is_refused("steps: [{ a: \"it is ${x}\" }]", "o'clock"));
        assert!(is_refused("steps: [{ a: \"${x}\" }]", "say \"hi\""));
        assert!(is_refused("steps: [{ a: \"${x}\" }]", "y\", b: \"z"));
        assert!(is_refused("steps: [{ a: \"${x}\" }]", r"a\tb"));
        let with: BTreeMap<String, Spanned<String>> =
            serde_saphyr::from_str(r#"{ n: "3", x: "o'clock" }"#).unwrap();
        let among_others = "steps: [{ times: ${n}, a: \"it is ${x}\" }]";
        let text = "steps: [{ times: 3, a: \"it is o'clock\" }]";
        assert!(intruder(among_others, text, &with).is_none());
        // Whatever stands there.
        assert!(!is_refused("steps: [{ a: \"${x}\"", "say \"hi\""));
    }

    #[test]
    fn a_mistake_is_shown_where_it_stands_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let shared = "steps:\n  - send: { from: \"${who}\", rom: general }\n";
        fs::write(folder.path().join("s.yaml"), shared).unwrap();
        let source = "scenario: x\nactors: { a: { phone: gw1 } }\nsteps:\n  - use: { file: s.yaml, with: { who: a.phone_with_a_long_name } }\n";
        let file = folder.path().join("x.yaml").display().to_string();
        let mut scenario = crate::scenario::parse(&file, source).unwrap();
        let problem = load_shared(&file, source, &mut scenario).unwrap_err();
        assert_eq!(problem.text, "there is no `rom` here");
        assert_eq!(problem.place, Place { line: 2, column: 29 });
        assert_eq!(problem.line, "  - send: { from: \"${who}\", rom: general }");
    }

    #[test]
    fn a_path_is_shown_without_its_detours() {
        for (path, expected) in [
            ("fixtures/rooms/../shared/x.yaml", "fixtures/shared/x.yaml"),
            ("./x.yaml", "x.yaml"),
            ("../../x.yaml", "../../x.yaml"),
            ("a/../../x.yaml", "../x.yaml"),
            ("/a/./x.yaml", "/a/x.yaml"),
        ] {
            assert_eq!(short(Path::new(path)), expected);
        }
    }
}

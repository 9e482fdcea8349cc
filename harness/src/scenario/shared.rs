//! Steps that scenarios share: a file with `steps:`, in which `${name}` stands for what `use` gives with it.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use super::{Place, Problem, Scenario, Spanned, Step, parse::in_our_words};

/// How deep shared files may use others.
const DEPTH_MAX: usize = 5;

/// How long the files that a scenario uses may be in all, in bytes; one that is used twice counts twice.
const BYTES_MAX: usize = 1_000_000;

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
            *bytes_left = bytes_left.checked_sub(text.len()).ok_or_else(|| {
                problem(format!("the shared files are longer than {BYTES_MAX} bytes in all"))
            })?;
            let surplus =
                shared.with.iter().find(|(name, _)| !text.contains(&format!("${{{name}}}")));
            if let Some((name, value)) = surplus {
                let said = format!("`{}` has no `${{{name}}}` to fill in", path.display());
                return Err(Problem::new(file, source, Place::from(value), said));
            }
            let text = shared.with.iter().fold(text, |text, (name, value)| {
                text.replace(&format!("${{{name}}}"), &value.value)
            });
            let name = path.display().to_string();
            let read: Shared = serde_saphyr::from_str(&text)
                .map_err(|error| in_our_words(&name, &text, &error))?;
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

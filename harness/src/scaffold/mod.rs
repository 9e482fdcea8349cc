//! A scenario to begin with: small, whole, passing, and explained line by line. Never overwrites a file.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The scenario; `NAME` and `SENTENCE` stand for what was given.
const TEMPLATE: &str = include_str!("template.txt");

/// Longest name, in characters.
const NAME_CHARACTERS_MAX: usize = 80;

/// Why no scenario was written.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    #[error("`{0}` is no name for a scenario: use a-z, 0-9 and `-`, for example `bob-hears-alice`")]
    Name(String),
    #[error("`{}` is there already: choose another name, or remove it first", .0.display())]
    Exists(PathBuf),
    #[error("writing `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Writes `NAME.yaml` into a folder, which is made if it is not there.
pub fn begin(name: &str, folder: &Path) -> Result<PathBuf, ScaffoldError> {
    let stem = name.strip_suffix(".yaml").unwrap_or(name);
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name =
        !stem.is_empty() && stem.len() <= NAME_CHARACTERS_MAX && stem.chars().all(is_word);
    if !is_name || stem.starts_with('-') {
        return Err(ScaffoldError::Name(name.to_owned()));
    }
    let path = folder.join(format!("{stem}.yaml"));
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            ScaffoldError::Exists(path.clone())
        } else {
            ScaffoldError::Io { path: path.clone(), source }
        }
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = File::create_new(&path).map_err(failed)?;
    file.write_all(scenario(stem).as_bytes()).map_err(failed)?;
    Ok(path)
}

/// The text of the scenario of this name.
fn scenario(stem: &str) -> String {
    TEMPLATE.replace("SENTENCE", &stem.replace('-', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_has_no_mistake() {
        for name in ["bob-hears-alice", "404", "true", "null"] {
            let source = scenario(name);
            let scenario = crate::scenario::parse("x.yaml", &source).unwrap();
            assert_eq!(scenario.scenario.value, name.replace('-', " "));
            assert_eq!(crate::lint::lint("x.yaml", &source, &scenario), []);
            assert_eq!(crate::format::format("x.yaml", &source).unwrap(), source);
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = begin("hello", folder.path()).unwrap();
        fs::write(&path, "mine").unwrap();
        let refused = begin("hello.yaml", folder.path()).unwrap_err();
        assert!(matches!(refused, ScaffoldError::Exists(_)), "{refused}");
        assert_eq!(fs::read_to_string(path).unwrap(), "mine");
    }

    #[test]
    fn a_name_is_a_plain_file_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", ".yaml", "../x", "a b", "Alice", "-x", "a/b", "ü"] {
            let refused = begin(name, folder.path()).unwrap_err();
            assert!(matches!(refused, ScaffoldError::Name(_)), "{name}: {refused}");
        }
    }
}

//! Where a stack keeps its files, and where programs are found. The only reader of the environment in `stack`.
//! Decides nothing and creates nothing.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place of `stack` that reads the environment: directories and programs, no settings"
)]

use super::error::StackError;
use std::env;
use std::path::{Path, PathBuf};

/// The directory that holds the scratch directories of all stacks of this machine's user.
pub fn root() -> PathBuf {
    env::temp_dir().join("chat-gateway-stack")
}

/// The directory for downloads, kept between stacks and work trees.
pub(super) fn cache() -> Result<PathBuf, StackError> {
    let base = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
        (_, Some(home)) if !home.is_empty() => Path::new(&home).join(".cache"),
        _ => {
            return Err(StackError::Lacking {
                what: "no directory for downloads is known".into(),
                remedy: "set `HOME` or `XDG_CACHE_HOME`".into(),
            });
        }
    };
    Ok(base.join("chat-gateway"))
}

/// Where `JAVA_HOME` says that Java's programs are.
pub(super) fn java_home() -> Vec<PathBuf> {
    env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin")).into_iter().collect()
}

/// The first of `names` that is a file on `PATH` or in one of `more` directories, in this order.
pub(super) fn program(names: &[&str], more: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = env::split_paths(&path).chain(more.iter().cloned()).collect();
    names.iter().find_map(|name| {
        directories
            .iter()
            .map(|directory| directory.join(name))
            .find(|candidate| candidate.is_file())
    })
}

/// The first of `names` that is a file on `PATH`.
pub fn program_on_path(names: &[&str]) -> Option<PathBuf> {
    program(names, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_on_the_path_and_beside_it() {
        assert!(
            program(&["no-such-program", "sh"], &[]).is_some_and(|found| found.ends_with("sh"))
        );
        assert_eq!(program(&["no-such-program"], &[]), None);

        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("own-program"), "").unwrap();
        let found = program(&["own-program"], &[directory.path().to_path_buf()]);
        assert_eq!(found, Some(directory.path().join("own-program")));
    }
}

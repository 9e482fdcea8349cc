//! `harness lint`: reads scenarios without running them, and shows every mistake where it is.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;

use super::{
    NOTHING_MATCHED, SUCCESS, WRONG_FILE,
    terminal::{note, say},
};
use crate::{
    lint::lint,
    scenario::{Problem, parse},
};

/// Folder of the fixtures when no path is given.
const FIXTURES: &str = "fixtures";

/// Folder of steps that scenarios share: no scenarios themselves.
const SHARED: &str = "shared";

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 no mistake, 2 a file is wrong, 4 there is no such file.")]
pub(super) struct Lint {
    /// Files, or folders with `.yaml` files in them.
    #[arg(default_value = FIXTURES)]
    paths: Vec<PathBuf>,
}

impl Lint {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let mut files = Vec::new();
        for path in &self.paths {
            collect(path, &mut files).with_context(|| format!("reading `{}`", path.display()))?;
        }
        if files.is_empty() {
            note("there is no scenario: they are `.yaml` files");
            return Ok(NOTHING_MATCHED);
        }
        let mut mistakes = 0;
        for file in &files {
            let source = std::fs::read_to_string(file)
                .with_context(|| format!("reading `{}`", file.display()))?;
            for problem in problems(&file.display().to_string(), &source) {
                say(&format!("{problem}\n"))?;
                mistakes += 1;
            }
        }
        if mistakes == 0 {
            note(&format!("{} scenarios, no mistake", files.len()));
            return Ok(SUCCESS);
        }
        note(&format!("{} scenarios, {mistakes} mistakes", files.len()));
        Ok(WRONG_FILE)
    }
}

/// Everything that is wrong with one file: its form, else what its names mean.
fn problems(file: &str, source: &str) -> Vec<Problem> {
    match parse(file, source) {
        Ok(scenario) => lint(file, source, &scenario),
        Err(problem) => vec![problem],
    }
}

/// The scenarios in a folder and below, in the order of their names; a file as it is.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        path.metadata()?;
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in path.read_dir()? {
        entries.push(entry?.path());
    }
    entries.sort();
    for entry in entries {
        let is_scenario = entry.extension().is_some_and(|extension| extension == "yaml");
        if entry.is_dir() && entry.file_name().is_some_and(|name| name != SHARED) {
            collect(&entry, files)?;
        } else if is_scenario && entry.is_file() {
            files.push(entry);
        }
    }
    Ok(())
}

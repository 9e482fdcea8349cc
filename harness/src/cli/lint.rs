//! `harness lint`: reads scenarios without running them, and shows every mistake where it is.

use std::path::PathBuf;

use clap::Args;

use super::{
    FIXTURES, NOTHING_MATCHED, SUCCESS, WRONG_FILE,
    terminal::{note, say},
};
use crate::{plural::counted, runner::find};

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 no mistake, 2 a file is wrong, 4 there is no such file.")]
pub(super) struct Lint {
    /// Files, or folders with `.yaml` files in them.
    #[arg(default_value = FIXTURES)]
    paths: Vec<PathBuf>,
}

impl Lint {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let found = match find(&self.paths) {
            Ok(found) => found,
            Err(error) => return super::unreadable(error),
        };
        if found.files == 0 {
            note("there is no scenario: they are `.yaml` files");
            return Ok(NOTHING_MATCHED);
        }
        for problem in found.problems() {
            say(&format!("{problem}\n"))?;
        }
        if found.broken.is_empty() {
            note(&format!("{}, no mistake", counted(found.files, "scenario")));
            return Ok(SUCCESS);
        }
        note(&format!(
            "{}, {}",
            counted(found.files, "scenario"),
            counted(found.problems().count(), "mistake")
        ));
        Ok(WRONG_FILE)
    }
}

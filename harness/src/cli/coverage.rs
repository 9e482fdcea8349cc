//! `harness coverage`: what scenarios touch, and the gaps.

use std::path::PathBuf;

use clap::Args;

use super::{
    FIXTURES, NOTHING_MATCHED, SUCCESS, WRONG_FILE,
    terminal::{note, say},
};
use crate::{coverage::Coverage as Touched, runner::find};

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 shown, 2 a file is wrong, 4 there is no such file.")]
pub(super) struct Coverage {
    /// Files, or folders with `.yaml` files in them.
    #[arg(default_value = FIXTURES)]
    paths: Vec<PathBuf>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Coverage {
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
            note(&format!("{problem}\n"));
        }
        if !found.broken.is_empty() {
            return Ok(WRONG_FILE);
        }
        let touched = Touched::of(found.fixtures.iter().map(|fixture| &fixture.scenario));
        let shown = if self.json { format!("{:#}", touched.json()) } else { touched.table() };
        say(shown.trim_end())?;
        Ok(SUCCESS)
    }
}

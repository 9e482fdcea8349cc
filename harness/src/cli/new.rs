//! `harness new`: a scenario to begin with.

use std::path::PathBuf;

use clap::Args;

use super::{FAILED, FIXTURES, SUCCESS, WRONG_FILE, terminal::note};
use crate::scaffold::{ScaffoldError, begin};

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 written, 1 it could not be, 2 the name is wrong or taken.")]
pub(super) struct New {
    /// Its name, such as `bob-hears-alice`.
    name: String,
    /// Where it goes.
    #[arg(long, default_value = FIXTURES)]
    dir: PathBuf,
}

impl New {
    pub(super) fn run(&self) -> u8 {
        match begin(&self.name, &self.dir) {
            Ok(path) => {
                let path = path.display();
                note(&format!("wrote {path}; run it: harness run --embedded {path}"));
                SUCCESS
            }
            Err(error) => {
                note(&format!("error: {error}"));
                match error {
                    ScaffoldError::Name(_) | ScaffoldError::Exists(_) => WRONG_FILE,
                    ScaffoldError::Io { .. } => FAILED,
                }
            }
        }
    }
}

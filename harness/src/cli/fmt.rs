//! `harness fmt`: formats scenarios, or says which are not.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::{
    FAILED, FIXTURES, NOTHING_MATCHED, SUCCESS, WRONG_FILE,
    terminal::{note, say},
};
use crate::{
    files::{SCENARIO_ENDS, files},
    format::format,
    plural::counted,
    scenario::Problem,
};

const AFTER_HELP: &str = "\
Comments and meaning stay: what it is not sure of it leaves alone.

Exit codes: 0 all are formatted, 1 with --check: some are not, 2 a file is no YAML, 4 there is no such file.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Fmt {
    /// Files, or folders with `.yaml` files in them.
    #[arg(default_value = FIXTURES)]
    paths: Vec<PathBuf>,
    /// Change nothing; say which are not formatted.
    #[arg(long)]
    check: bool,
}

impl Fmt {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let paths = match files(&self.paths, SCENARIO_ENDS) {
            Ok(paths) => paths,
            Err(error) => return super::unreadable(error),
        };
        if paths.is_empty() {
            note("there is no scenario: they are `.yaml` files");
            return Ok(NOTHING_MATCHED);
        }
        let (mut changed, mut wrong) = (0, 0);
        for path in &paths {
            let file = path.display().to_string();
            let bytes = fs::read(path).with_context(|| format!("reading `{file}`"))?;
            let source = String::from_utf8(bytes).map_err(|error| Problem::no_text(&file, &error));
            let formatted = source.and_then(|source| Ok((format(&file, &source)?, source)));
            let (formatted, source) = match formatted {
                Ok(formatted) => formatted,
                Err(problem) => {
                    wrong += 1;
                    say(&format!("{problem}\n"))?;
                    continue;
                }
            };
            if formatted == source {
                continue;
            }
            changed += 1;
            if self.check {
                say(&format!("not formatted: {file}"))?;
            } else {
                fs::write(path, formatted).with_context(|| format!("writing `{file}`"))?;
                say(&format!("formatted: {file}"))?;
            }
        }
        let done = if self.check { "not formatted" } else { "changed" };
        note(&format!("{}, {changed} {done}", counted(paths.len(), "scenario")));
        Ok(match (wrong, changed) {
            (1.., _) => WRONG_FILE,
            (0, 1..) if self.check => FAILED,
            _ => SUCCESS,
        })
    }
}

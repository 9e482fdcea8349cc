//! `harness doctor`: what is missing on this machine, and the command that installs it.

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::Args;

use super::{LACKING, SUCCESS, terminal::say};
use crate::doctor::{Finding, look};

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();

/// The longest name of a finding, in characters.
const NAME_CHARS: usize = 16;

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 nothing is missing, 3 something is.")]
pub(super) struct Doctor {
    /// The gateway's program; the one beside this program without.
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
}

impl Doctor {
    pub(super) async fn run(&self) -> anyhow::Result<u8> {
        let gateway = match &self.gateway {
            Some(gateway) => gateway.clone(),
            None => std::env::current_exe()?.with_file_name("gateway"),
        };
        let findings = look(&gateway).await;
        for Finding { what, seen, install, without } in &findings {
            match seen {
                Ok(seen) => say(&format!("{GREEN}✓{GREEN:#} {what:NAME_CHARS$}  {seen}"))?,
                Err(why) => {
                    say(&format!("{RED}✗{RED:#} {what:NAME_CHARS$}  {why}"))?;
                    say(&format!("  {:NAME_CHARS$}  install: {install}", ""))?;
                    say(&format!("  {:NAME_CHARS$}  works without it: {without}", ""))?;
                }
            }
        }
        let missing = findings.iter().filter(|finding| finding.seen.is_err()).count();
        if missing == 0 {
            say("nothing is missing")?;
            return Ok(SUCCESS);
        }
        say(&format!("{missing} of {} are missing", findings.len()))?;
        Ok(LACKING)
    }
}

//! The command line: what can be asked for, and how outcomes become output and exit codes. Each command has a module.

mod terminal;
mod coverage;
mod doctor;
mod fmt;
mod interrupt;
mod outcome;
mod lint;
mod new;
mod progress;
mod review;
mod snapshots;
mod site;
mod run;
mod schema;
mod stack;
mod steps;

use crate::stack::StackError;
use clap::{Parser, Subcommand};
use std::{io, process::ExitCode};
use terminal::note;

/// Exit code: done, or the answer is yes.
const SUCCESS: u8 = 0;
/// Exit code: the command ran, and the answer is no, or something failed.
const FAILED: u8 = 1;
/// Exit code: a file is wrong.
const WRONG_FILE: u8 = 2;
/// Exit code: the machine lacks something, so the command could not run.
const LACKING: u8 = 3;
/// Exit code: there is nothing of what was asked for.
const NOTHING_MATCHED: u8 = 4;
/// Exit code: a scenario passed in one round and failed in another.
const FLAKY: u8 = 5;
/// Exit code: snapshots wait for a review.
const UNREVIEWED: u8 = 6;
/// Exit code: nothing was seen that could have failed.
const UNKNOWN: u8 = 7;
/// Exit code: broken off by Ctrl-C, as shells say it.
const INTERRUPTED: u8 = 130;
/// Exit code: its terminal is gone.
const HUNG_UP: u8 = 129;
/// Exit code: nobody reads on, as after SIGPIPE.
const BROKEN_PIPE: u8 = 141;

/// Exit code: broken off by SIGTERM.
const TERMINATED: u8 = 143;

/// Folder of the fixtures when no path is given.
const FIXTURES: &str = "fixtures";

/// Runs chat scenarios, and the servers they need.
#[derive(Debug, Parser)]
#[command(name = "harness", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios and say what came of them.
    Run(Box<run::Run>),
    /// Read scenarios without running them, and show every mistake where it is.
    Lint(lint::Lint),
    /// Write a small, complete scenario to begin with.
    New(new::New),
    /// Format scenarios.
    Fmt(fmt::Fmt),
    /// Look at snapshots that differ from the accepted ones, and accept or reject each.
    Review(review::Review),
    /// Say which rules, events, errors, faults and so on the scenarios touch, and the gaps.
    Coverage(coverage::Coverage),
    /// Say what this machine lacks, and the command that installs it.
    Doctor(doctor::Doctor),
    /// Print the language of scenarios on one page.
    Steps,
    /// Print the JSON schema of scenarios, for editors.
    Schema,
    /// Real Kafka, Redis and Postgres on free loopback ports, without Docker.
    #[command(subcommand)]
    Stack(stack::StackCommand),
}

impl Cli {
    /// Does what was asked. Exit codes: 0 yes or done, 1 no or failed, 2 wrong usage (clap) or a wrong file, 3 the machine
    /// lacks something, 4 there is nothing of what was asked for; `run` has more of them, below.
    pub async fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Run(run) => run.run().await,
            Command::Lint(lint) => lint.run(),
            Command::New(new) => Ok(new.run()),
            Command::Fmt(fmt) => fmt.run(),
            Command::Review(review) => review.run(),
            Command::Coverage(coverage) => coverage.run(),
            Command::Doctor(doctor) => doctor.run().await,
            Command::Steps => steps::run(),
            Command::Schema => schema::run(),
            Command::Stack(command) => {
                command.run().await.map(|is_fine| if is_fine { SUCCESS } else { FAILED })
            }
        };
        match outcome {
            Ok(code) => ExitCode::from(code),
            // Like any program whose reader has seen enough.
            Err(error) if is_broken_pipe(&error) => ExitCode::from(BROKEN_PIPE),
            Err(error) => {
                terminal::note(&format!("error: {error:#}"));
                let stack_error = error.downcast_ref::<StackError>();
                // A file or an address that cannot be used says nothing about what was asked.
                let is_of_the_machine =
                    error.chain().any(<dyn std::error::Error + 'static>::is::<io::Error>);
                let is_lacking = stack_error.is_some_and(StackError::is_lacking);
                ExitCode::from(if is_lacking || is_of_the_machine { LACKING } else { FAILED })
            }
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    io.into_iter().any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What is named and is not there is nothing of what was asked for.
fn unreadable(error: io::Error) -> anyhow::Result<u8> {
    if error.kind() != io::ErrorKind::NotFound {
        return Err(error.into());
    }
    note(&format!("error: {error}"));
    Ok(NOTHING_MATCHED)
}

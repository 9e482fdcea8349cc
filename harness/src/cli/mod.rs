//! The command line: what can be asked for, and how outcomes become output and exit codes. Each command has a module.

mod terminal;
mod stack;

use crate::stack::StackError;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Exit code: the command ran, and the answer is no, or something failed.
const FAILED: u8 = 1;
/// Exit code: the machine lacks something, so the command could not run.
const LACKING: u8 = 3;

/// Runs chat scenarios, and the servers they need.
#[derive(Debug, Parser)]
#[command(name = "harness", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Real Kafka, Redis and Postgres on free loopback ports, without Docker.
    #[command(subcommand)]
    Stack(stack::StackCommand),
}

impl Cli {
    /// Does what was asked. Exit codes: 0 yes or done, 1 no or failed, 2 wrong usage (clap), 3 the machine lacks something.
    pub async fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Stack(command) => command.run().await,
        };
        match outcome {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FAILED),
            Err(error) => {
                terminal::note(&format!("error: {error:#}"));
                let stack_error = error.downcast_ref::<StackError>();
                ExitCode::from(if stack_error.is_some_and(StackError::is_lacking) {
                    LACKING
                } else {
                    FAILED
                })
            }
        }
    }
}

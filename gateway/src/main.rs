//! The command line: roles, `migrate`, `token`, `check`. Settings come from the environment.

mod banner;
mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}

//! The `harness` program: a thin shell around [`harness::cli`].

use clap::Parser as _;
use harness::cli::Cli;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}

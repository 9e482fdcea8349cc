//! `harness stack`: turns arguments into calls on [`Stack`] and their outcomes into lines.

use super::terminal::{note, say};
use crate::stack::{Condition, Ending, Service, Stack, StackName, Status};
use anyhow::Context as _;
use clap::{Args, Subcommand};

const AFTER_HELP: &str = "\
Exit codes: 0 done (status: all servers answer), 1 a server is in trouble or does not run, 3 the machine lacks something.
State and logs lie in ${TMPDIR:-/tmp}/chat-gateway-stack/NAME, Kafka's jars in ${XDG_CACHE_HOME:-~/.cache}/chat-gateway.";

/// What can be done with a stack.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER_HELP)]
pub(super) enum StackCommand {
    /// Start what does not run, and wait until every server answers. What runs already is left alone.
    Up {
        #[command(flatten)]
        target: Target,
        /// Print nothing but `export` lines: `eval "$(harness stack up --env)"`.
        #[arg(long)]
        env: bool,
        /// Only these servers.
        #[arg(long, value_enum, value_delimiter = ',', value_name = "SERVERS")]
        only: Vec<Service>,
    },
    /// End every server and remove all its data.
    Down {
        #[command(flatten)]
        target: Target,
        /// Every stack there is.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// Say which servers run, where, and whether they answer.
    Status {
        #[command(flatten)]
        target: Target,
    },
    /// End one server. Its port is kept, and its data too, except those of Redis.
    Stop {
        #[command(flatten)]
        one: One,
        /// At once, as by a crash.
        #[arg(long)]
        kill: bool,
    },
    /// Start one server again, on its old port, and wait until it answers.
    Start {
        #[command(flatten)]
        one: One,
    },
    /// Stop the processes of one server where they are (SIGSTOP): it keeps its connections and says nothing.
    Freeze {
        #[command(flatten)]
        one: One,
    },
    /// Let a frozen server go on (SIGCONT).
    Thaw {
        #[command(flatten)]
        one: One,
    },
}

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The stack's name. Stacks with different names are independent.
    #[arg(long, default_value = "default")]
    name: StackName,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The server.
    #[arg(value_enum)]
    service: Service,
    #[command(flatten)]
    target: Target,
}

impl StackCommand {
    /// Whether the answer is yes.
    pub(super) async fn run(self) -> anyhow::Result<bool> {
        match self {
            Self::Up { target, env, only } => up(&target.stack(), env, &only).await,
            Self::Down { target, all } => down(&target.stack(), all).await,
            Self::Status { target } => status(&target.stack()).await,
            Self::Stop { one: One { service, target }, kill } => {
                let ending = if kill { Ending::Kill } else { Ending::Stop };
                target.stack().stop(service, ending, &note).await?;
                done(service, if kill { "killed" } else { "stopped" })
            }
            Self::Start { one: One { service, target } } => {
                target.stack().start(service, &note).await?;
                done(service, "up")
            }
            Self::Freeze { one: One { service, target } } => {
                target.stack().freeze(service, &note).await?;
                done(service, "frozen")
            }
            Self::Thaw { one: One { service, target } } => {
                target.stack().thaw(service, &note).await?;
                done(service, "thawed")
            }
        }
    }
}

impl Target {
    fn stack(self) -> Stack {
        Stack::named(self.name)
    }
}

async fn up(stack: &Stack, env: bool, only: &[Service]) -> anyhow::Result<bool> {
    let services = if only.is_empty() { &Service::ALL } else { only };
    let running = stack.up(services, &note).await?;
    if !env {
        for status in &running {
            say(&line(status)).context("printing")?;
        }
        say("\nSettings for the gateway:").context("printing")?;
    }
    for status in &running {
        let (name, value) = status.setting();
        say(&format!("{}export {name}={value}", if env { "" } else { "  " }))
            .context("printing")?;
    }
    if !env {
        say(&format!("\nLogs are in {}.", stack.directory().display())).context("printing")?;
    }
    Ok(running.iter().all(|status| status.condition == Condition::Answers))
}

async fn down(stack: &Stack, all: bool) -> anyhow::Result<bool> {
    let stacks = if all { Stack::all()? } else { vec![stack.clone()] };
    for stack in stacks {
        let was_up = stack.down(&note).await?;
        let outcome = if was_up { "is down" } else { "was not up" };
        say(&format!("stack `{}` {outcome}", stack.name())).context("printing")?;
    }
    Ok(true)
}

async fn status(stack: &Stack) -> anyhow::Result<bool> {
    let Some(all) = stack.status().await? else {
        say(&format!("stack `{}` is not up", stack.name())).context("printing")?;
        return Ok(false);
    };
    for status in &all {
        say(&line(status)).context("printing")?;
    }
    Ok(all.iter().all(|status| status.condition == Condition::Answers))
}

fn done(service: Service, outcome: &str) -> anyhow::Result<bool> {
    say(&format!("{service} is {outcome}")).context("printing")?;
    Ok(true)
}

fn line(status: &Status) -> String {
    let process = status.pid.map_or_else(|| "no process".into(), |pid| format!("pid {pid}"));
    let condition = match &status.condition {
        Condition::Answers => "answers".into(),
        Condition::Silent(reason) => format!("does not answer: {reason}"),
        Condition::Frozen => "frozen".into(),
        Condition::Stopped => "stopped".into(),
    };
    format!("{:<9} 127.0.0.1:{:<6} {process:<12} {condition}", status.service, status.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_names_server_address_process_and_condition() {
        let mut status = Status {
            service: Service::Redis,
            port: 20_001,
            pid: Some(42),
            condition: Condition::Answers,
        };
        assert_eq!(line(&status), "redis     127.0.0.1:20001  pid 42       answers");
        status.pid = None;
        status.condition = Condition::Stopped;
        assert_eq!(line(&status), "redis     127.0.0.1:20001  no process   stopped");
    }
}

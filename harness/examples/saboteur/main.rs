//! A gateway that does one thing wrong, to prove that the harness sees it: `harness run --gateway FILE`, where the name of
//! FILE says what is wrong. `saboteur-lose-every-tenth` is a symbolic link to this program.
//!
//! Called like the gateway, it starts the real one (`gateway` above this program) on another address, stands in front of
//! it as a proxy, and ends with it; both are of one process group, which is killed and frozen as one. `saboteur list` names
//! all mutants.

mod gate;
mod mutants;
mod packets;
mod polling;
mod proxy;
mod websocket;

use std::{
    env, io,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use gate::{Gate, setting};
use mutants::{Mutant, OUTLIVING, keep_lease};

/// What this program calls itself when it only waits to become the gateway.
const BESIDE: &str = "--until-the-parent-ends";

/// Where the real gateway listens, on the port that the saboteur was given.
const BEHIND: &str = "127.0.0.2";

/// How long the last packets of a gateway that has ended may take to their devices.
const FLUSH: Duration = Duration::from_millis(100);

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    match role.as_str() {
        "list" => {
            let names: Vec<&str> = Mutant::all().map(|mutant| mutant.name).collect();
            io::Write::write_all(&mut io::stdout(), (names.join("\n") + "\n").as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        BESIDE => {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have ended before that was asked for.
            if rustix::process::getppid().is_none_or(Pid::is_init) {
                return Ok(ExitCode::FAILURE);
            }
            become_gateway(&arguments.next().unwrap_or_default())
        }
        OUTLIVING => {
            let parent = arguments.next().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
            tokio::runtime::Runtime::new()?.block_on(keep_lease(parent));
            Ok(ExitCode::SUCCESS)
        }
        "serve" | "standalone" => {
            let mutant = named(&env::args().next().unwrap_or_default())?;
            tokio::runtime::Runtime::new()?.block_on(stand_in_front(mutant, &role))
        }
        // No client sees these.
        _ => become_gateway(&role),
    }
}

fn gateway() -> anyhow::Result<PathBuf> {
    let program = env::current_exe()?;
    let built = program.parent().and_then(|examples| examples.parent()).context("no folder")?;
    Ok(built.join("gateway"))
}

fn become_gateway(role: &str) -> anyhow::Result<ExitCode> {
    let gateway = gateway()?;
    let error = Command::new(&gateway).arg(role).exec();
    bail!("starting `{}`: {error}", gateway.display())
}

/// The mutant that the name of this program's file asks for.
fn named(program: &str) -> anyhow::Result<&'static Mutant> {
    let name = program.rsplit('/').next().unwrap_or_default().trim_start_matches("saboteur");
    let name = name.trim_start_matches('-');
    Mutant::all().find(|mutant| mutant.name == name).with_context(|| {
        format!("there is no mutant `{name}`; `saboteur list` names them, `saboteur-NAME` runs one")
    })
}

/// Runs the gateway and the proxy until the gateway ends, and ends as it did.
async fn stand_in_front(mutant: &'static Mutant, role: &str) -> anyhow::Result<ExitCode> {
    let port: u16 = setting("PORT").parse().context("PORT")?;
    let admin_port: u16 = setting("ADMIN_PORT").parse().context("ADMIN_PORT")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let admin_listener = TcpListener::bind(("127.0.0.1", admin_port)).await?;
    let mut gateway = tokio::process::Command::new(env::current_exe()?)
        .args([BESIDE, role])
        .env("HOST", BEHIND)
        .env("ADMIN_HOST", BEHIND)
        .kill_on_drop(true)
        .spawn()?;
    let pid = gateway.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    let behind = |port: u16| format!("{BEHIND}:{port}").parse::<SocketAddr>();
    let gate = Arc::new(Gate::new(mutant, behind(port)?));
    let admin_gate = Arc::new(Gate::new(mutant, behind(admin_port)?));
    for fault in mutant.faults {
        if let mutants::Fault::Background(run) = fault {
            // They end with this process.
            tokio::spawn(run(Arc::clone(&gate)));
        }
    }
    // Both end with this process.
    tokio::spawn(proxy::serve(listener, gate));
    tokio::spawn(proxy::serve(admin_listener, admin_gate));
    let mut asked_to_end = signal(SignalKind::terminate())?;
    let status = loop {
        tokio::select! {
            status = gateway.wait() => break status?,
            _ = asked_to_end.recv() => {
                if let Some(pid) = pid {
                    // It may have ended in this moment.
                    _ = kill_process(pid, Signal::TERM);
                }
            }
        }
    };
    sleep(FLUSH).await;
    for fault in mutant.faults {
        if let mutants::Fault::Exit(code) = fault {
            return Ok(ExitCode::from(*code));
        }
    }
    Ok(ExitCode::from(status.code().and_then(|code| code.try_into().ok()).unwrap_or(1)))
}

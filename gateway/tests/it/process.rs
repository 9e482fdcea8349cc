//! The gateway's binary as a process: started on free ports, known by what it logs, stopped by its pid.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a process may take to be ready, or to end.
const LIMIT: Duration = Duration::from_mins(1);

/// The secret of every test.
pub(crate) const SECRET: &str = "a test secret of at least 32 bytes";

/// A process of the gateway. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// A worker has none.
    address: Option<SocketAddr>,
    admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts `gateway ARGUMENTS` with these settings alone and waits until it is ready.
    pub(crate) fn start(arguments: &[&str], settings: &Settings) -> Self {
        Self::spawn(settings.command(arguments))
    }

    /// The same for a command made by [`Settings::command`] or one that ends up in such a process.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (sender, ready) = mpsc::channel();
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if line.contains("gateway is ready") {
                    let fields = serde_json::from_str::<Value>(&line).unwrap();
                    // The test may have given up waiting.
                    drop(sender.send(fields));
                }
                kept.lock().unwrap().push(line);
            }
        });
        let Ok(fields) = ready.recv_timeout(LIMIT) else {
            child.kill().unwrap();
            panic!("{command:?} was not ready:\n{}", log.lock().unwrap().join("\n"));
        };
        let address =
            |name: &str| fields[name].as_str().map(|text| reachable(text.parse().unwrap()));
        let admin = address("admin_address").unwrap();
        Self { child, address: address("address"), admin, log }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("a worker serves no clients")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// What it prints on standard output, up to and with a line.
    pub(crate) fn read_output_until(&mut self, last: &str) -> String {
        let mut output = String::new();
        for line in BufReader::new(self.child.stdout.take().unwrap()).lines() {
            output.push_str(&line.unwrap());
            output.push('\n');
            if output.ends_with(&format!("{last}\n")) {
                break;
            }
        }
        output
    }

    /// Sends a signal by its name, for example `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "gateway did not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            // For whoever reads why the test failed.
            drop(writeln!(io::stderr(), "--- gateway {} ---\n{}", self.pid(), self.log()));
        }
    }
}

/// The settings of a process, and nothing else of the environment.
#[derive(Clone, Debug)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Free loopback ports, JSON logs, the secret of the tests.
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
            .with("HOST", "127.0.0.1")
            .with("PORT", "0")
            .with("ADMIN_HOST", "127.0.0.1")
            .with("ADMIN_PORT", "0")
            .with("LOG_FORMAT", "json")
            .with("LOG_LEVEL", "info")
            .with("JWT_SECRET", SECRET)
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    #[must_use]
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    /// The value of a setting that was given.
    pub(crate) fn get(&self, name: &str) -> String {
        self.0[name].clone()
    }

    /// `gateway ARGUMENTS`, its standard error piped.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_through(&[env!("CARGO_BIN_EXE_gateway")], arguments)
    }

    /// The same through a program that ends by becoming the gateway: the last word of `program` is its binary.
    pub(crate) fn command_through(&self, program: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(program[0]);
        command
            .args(&program[1..])
            .args(arguments)
            .env_clear()
            .envs(&self.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Sends a signal by its name. The program `kill` is not on every machine.
pub(crate) fn signal(child: &Child, name: &str) {
    let signal = match name {
        "TERM" => Signal::TERM,
        "INT" => Signal::INT,
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        _ => panic!("`{name}` is none of the signals that tests send"),
    };
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { ([127, 0, 0, 1], address.port()).into() } else { address }
}

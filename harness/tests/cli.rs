//! What the command line says: help, usage errors, reports, and exit codes, through the program. What differs from run to
//! run is replaced before it is compared. Runs scenarios only if the gateway's program is there.

#![expect(clippy::unwrap_used, reason = "clippy's leave for tests does not reach their helpers")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use insta::{assert_snapshot, with_settings};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A folder of its own, which the program works in.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, file: &str, text: &str) -> Self {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.path().join(file)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.args(arguments).current_dir(self.0.path());
        command.env_remove("CI").env_remove("JWT_SECRET");
        command
    }

    /// The exit code, then what was printed: results, then notes.
    fn run(&self, arguments: &[&str]) -> String {
        said(&self.command(arguments).output().unwrap())
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let Output { status, stdout, stderr } = output;
    format!("exit code {}\n{}{}", status.code().unwrap(), text(stdout), text(stderr))
}

/// Compares without times, seeds, ports and ids.
macro_rules! assert_redacted {
    ($name:expr, $said:expr) => {
        with_settings!({ filters => vec![
            (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<id>"),
            (r"--seed \d+", "--seed <seed>"),
            (r"seed \d+,", "seed <seed>,"),
            (r"\d+ ms\b", "<time>"),
            (r" *\d+\.\d+ s\b", " <time>"),
            (r"\d+ %", "<part>"),
        ] }, { assert_snapshot!($name, $said) });
    };
}

/// The gateway beside the program.
fn gateway() -> PathBuf {
    let gateway = Path::new(env!("CARGO_BIN_EXE_harness")).with_file_name("gateway");
    assert!(gateway.is_file(), "there is no gateway: run `cargo build -p gateway`");
    gateway
}

const GOOD: &str = "\
scenario: bob hears alice
spec: deliver-to-all
snapshot: { transcript: per-device }

actors:
  alice: { phone: gw1 }
  bob:   { phone: { gateway: gw1, client: raw } }

steps:
  - connect: everyone
  - join:    { who: everyone, room: general }
  - send:    { from: alice.phone, room: general, text: \"hi\", as: hi }
  - deliver: { message: hi, to: everyone, times: 1, within: 2s }
";

#[test]
fn help_of_every_command() {
    let scratch = Scratch::new();
    let mut all = scratch.run(&["--help"]);
    for command in
        ["run", "lint", "new", "fmt", "review", "coverage", "doctor", "steps", "schema", "stack"]
    {
        let said = scratch.run(&[command, "--help"]);
        write!(all, "\n## {command}\n{said}").unwrap();
    }
    assert_snapshot!(all);
}

#[test]
fn usage_errors() {
    let scratch = Scratch::new();
    let mut all = String::new();
    for arguments in [
        &["frobnicate"][..],
        &["run", "--embedded", "--url", "http://x"],
        &["run", "--jobs", "many"],
        &["run", "--redis-url", "redis://x"],
        &["run", "--embedded", "--redis-url", "redis://x"],
        &["review", "--accept", "--reject"],
        &["new"],
        &["fmt", "--chek"],
    ] {
        let said = scratch.run(arguments);
        writeln!(all, "$ harness {}\n{said}", arguments.join(" ")).unwrap();
    }
    assert_snapshot!(all);
}

#[test]
fn nothing_matches_and_a_file_is_wrong() {
    let scratch = Scratch::new().with("empty/readme.md", "").with("good/a.yaml", GOOD);
    let scratch = scratch.with("bad/b.yaml", &GOOD.replace("deliver:", "delivre:"));
    let mut all = String::new();
    for arguments in [
        &["run", "--embedded", "empty"][..],
        &["run", "--embedded", "good", "--tag", "nowhere"],
        &["run", "--embedded", "bad"],
        &["run", "--embedded", "nowhere.yaml"],
        &["run", "--embedded", "--gateway", "nowhere", "good"],
        &["lint", "good"],
        &["lint", "bad", "good"],
        &["lint", "empty"],
        &["fmt", "empty"],
        &["coverage", "empty"],
        &["coverage", "bad"],
    ] {
        let said = scratch.run(arguments);
        writeln!(all, "$ harness {}\n{said}", arguments.join(" ")).unwrap();
    }
    assert_snapshot!(all);
}

#[test]
fn the_language_on_one_page() {
    assert_snapshot!(Scratch::new().run(&["steps"]));
}

#[test]
fn coverage_of_a_small_folder() {
    let scratch = Scratch::new().with("fixtures/a.yaml", GOOD);
    assert_snapshot!("coverage", scratch.run(&["coverage"]));
    let json = scratch.command(&["coverage", "--json"]).output().unwrap().stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["scenarios"], 1);
    assert_eq!(json["sections"][0]["gaps"][0], "connect-good-token");
}

#[test]
fn new_refuses_to_overwrite() {
    let scratch = Scratch::new();
    let mut all = scratch.run(&["new", "bob-hears-alice", "--dir", "fixtures/rooms"]);
    let written = scratch.read("fixtures/rooms/bob-hears-alice.yaml");
    all.push_str(&scratch.run(&["new", "bob-hears-alice", "--dir", "fixtures/rooms"]));
    all.push_str(&scratch.run(&["new", "Bob hears"]));
    all.push_str(&scratch.run(&["lint"]));
    all.push_str(&scratch.run(&["fmt", "--check"]));
    assert_eq!(scratch.read("fixtures/rooms/bob-hears-alice.yaml"), written);
    assert_snapshot!(format!("{all}\n{written}"));
}

#[test]
fn fmt_says_what_it_did() {
    let scratch = Scratch::new().with("fixtures/a.yaml", &GOOD.replace("bob:   ", "bob: "));
    let scratch = scratch.with("fixtures/b.yaml", GOOD).with("fixtures/c.yaml", "a: [\n");
    let mut all = scratch.run(&["fmt", "--check"]);
    all.push_str(&scratch.run(&["fmt"]));
    all.push_str(&scratch.run(&["fmt", "--check", "fixtures/a.yaml"]));
    assert_eq!(scratch.read("fixtures/a.yaml"), GOOD);
    assert_snapshot!(all);
}

/// Bob leaves in a way that the file alone does not tell, and cannot hear what comes then.
fn bad() -> String {
    let leave =
        r#"  - raw:     { device: bob.phone, frame: '427["leaveRoom",{"roomId":"${general}"}]' }"#;
    let good = GOOD.replace("within: 2s", "within: 1s");
    good.replace("  - send:", &format!("{leave}\n  - send:"))
}

#[test]
fn a_failing_scenario_is_reported() {
    let gateway = gateway();
    let scratch = Scratch::new().with("fixtures/greeting.yaml", &bad());
    let gateway = gateway.to_str().unwrap();
    let said = scratch.run(&["run", "--embedded", "--gateway", gateway]);
    assert!(said.starts_with("exit code 1\n"), "{said}");
    // What else happened when is for the tests of the report.
    let (report, _) = said.split_once("\n    what happened").unwrap();
    assert_redacted!("failing_scenario", report);
    assert!(said.contains("again: harness run fixtures/greeting.yaml --seed"), "{said}");
    assert!(said.contains("0 passed, 1 failed"), "{said}");
}

#[test]
fn a_new_scenario_passes() {
    let gateway = gateway();
    let scratch = Scratch::new();
    scratch.run(&["new", "hello"]);
    let said = scratch.run(&["run", "--embedded", "--gateway", gateway.to_str().unwrap()]);
    assert!(said.starts_with("exit code 0\n"), "{said}");
}

#[test]
fn snapshots_wait_for_a_review() {
    let gateway = gateway();
    let scratch = Scratch::new().with("fixtures/greeting.yaml", GOOD);
    let run = ["run", "--embedded", "--gateway", gateway.to_str().unwrap()];
    let ci = scratch.command(&run).env("CI", "true").output().unwrap();
    assert_eq!(ci.status.code(), Some(6), "{}", said(&ci));
    assert!(!scratch.0.path().join("fixtures/snapshots").exists());

    let first = scratch.run(&run);
    let (_, shown) = first.split_once("\n\n").unwrap();
    assert!(first.starts_with("exit code 6\n"), "{first}");
    assert_redacted!("new_snapshots", shown);
    let mut all = scratch.run(&["review"]);
    all.push_str(&scratch.run(&["review", "--reject"]));
    scratch.run(&run);
    all.push_str(&scratch.run(&["review", "--accept"]));
    all.push_str(&scratch.run(&["review"]));
    assert_snapshot!("review", all);
    let again = scratch.run(&run);
    assert!(again.starts_with("exit code 0\n"), "{again}");

    let scratch =
        scratch.with("fixtures/greeting.yaml", &GOOD.replace("\"hi\"", "\"good morning\""));
    let changed = scratch.run(&run);
    assert!(changed.starts_with("exit code 6\n"), "{changed}");
    assert!(changed.contains("changed: fixtures/snapshots/greeting@alice.phone.snap"), "{changed}");
    assert!(changed.contains("\n  - → sendMessage"), "{changed}");
    assert!(changed.contains("good morning"), "{changed}");
    let failing = scratch.with("fixtures/greeting.yaml", &bad());
    assert!(failing.run(&run).starts_with("exit code 1\n"));
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<String> {
    // Gone, so it has none.
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let lists =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn a_run_that_is_broken_off_leaves_nothing_behind() {
    let gateway = gateway();
    let long = format!("{GOOD}  - expect: {{ presence: alice, online: true, for: 60s }}\n");
    let scratch = Scratch::new().with("fixtures/greeting.yaml", &long);
    let run = ["run", "--embedded", "--gateway", gateway.to_str().unwrap()];
    let child = scratch.command(&run).stdout(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let gateways = loop {
        let children = children(child.id());
        if !children.is_empty() {
            break children;
        }
        assert!(Instant::now() < deadline, "no gateway was started");
        sleep(Duration::from_millis(20));
    };
    // By now it is in the middle of the scenario, or nearly there: either way nothing may stay.
    sleep(Duration::from_millis(500));
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    for gateway in gateways {
        let command = fs::read_to_string(format!("/proc/{gateway}/cmdline")).unwrap_or_default();
        assert!(command.is_empty(), "`{command}` still runs");
    }
}

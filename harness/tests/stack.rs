//! Brings real stacks up and down through the program, as scripts and people do. Needs the servers that
//! `harness stack up` names when they are missing.

#![expect(clippy::unwrap_used, reason = "clippy's leave for tests does not reach their helpers")]
#![expect(clippy::print_stdout, reason = "what the program said is shown when a test fails")]

use harness::stack::{Ending, Service, Stack, StackName};
use std::path::Path;
use std::process::{Command, Output};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A stack of its own, taken down whatever happens.
struct Scratch {
    name: StackName,
}

impl Scratch {
    fn new() -> Self {
        let name = format!("test-{}", uuid::Uuid::new_v4().simple());
        Self { name: name.parse().unwrap() }
    }

    /// Runs `harness stack <arguments> --name <name>`. That it returns at all shows that no server holds our pipes.
    fn run(&self, arguments: &str) -> (Option<i32>, String) {
        let output = self.output(arguments);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn output(&self, arguments: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.arg("stack").args(arguments.split(' ')).args(["--name", self.name.as_str()]);
        let output = command.output().unwrap();
        print!("{arguments}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        output
    }

    fn done(&self, arguments: &str) {
        let (code, output) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments}: {output}");
    }

    fn stack(&self) -> Stack {
        Stack::named(self.name.clone())
    }

    async fn pids(&self) -> Vec<i32> {
        let status = self.stack().status().await.unwrap().unwrap();
        status.into_iter().filter_map(|status| status.pid).collect()
    }

    async fn port(&self, service: Service) -> u16 {
        let status = self.stack().status().await.unwrap().unwrap();
        status.iter().find(|status| status.service == service).unwrap().port
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.output("down");
    }
}

/// A zombie has ended: whoever adopted it has yet to notice.
fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| !fields.trim_start().starts_with('Z'))
}

/// Every server works in a directory of its stack, as do its children.
fn working_in(directory: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let theirs =
        processes.filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok());
    theirs
        .map(|cwd| cwd.display().to_string())
        .filter(|cwd| cwd.starts_with(directory.to_str().unwrap()))
        .collect()
}

async fn redis(port: u16, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn psql(port: u16, statement: &str) -> String {
    let url = format!("postgres://postgres@127.0.0.1:{port}/chat");
    let output = Command::new("psql").args(["-XAtqc", statement, &url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_whole_stack_comes_up_answers_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    assert_eq!(scratch.run("status").0, Some(1));

    let (code, settings) = scratch.run("up --env");
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = settings.lines().collect();
    assert_eq!(lines.len(), 3, "{settings}");
    assert!(lines[0].starts_with("export KAFKA_BROKERS=127.0.0.1:"), "{settings}");
    assert!(lines[1].starts_with("export REDIS_URL=redis://127.0.0.1:"), "{settings}");
    assert!(
        lines[2].starts_with("export DATABASE_URL=postgres://postgres@127.0.0.1:"),
        "{settings}"
    );
    assert_eq!(scratch.run("up --env"), (Some(0), settings), "`up` once more says the same");
    let (code, status) = scratch.run("status");
    assert_eq!((code, status.matches("answers").count()), (Some(0), 3), "{status}");

    let pids = scratch.pids().await;
    let directory = scratch.stack().directory();
    assert!(pids.len() == 3 && pids.iter().copied().all(runs));
    assert_eq!(
        redis(scratch.port(Service::Redis).await, "CONFIG GET save").await,
        "*2\r\n$4\r\nsave\r\n$0\r\n\r\n+OK\r\n"
    );
    assert_eq!(psql(scratch.port(Service::Postgres).await, "show max_connections"), "200");
    scratch.done("down");
    assert!(!pids.iter().copied().any(runs));
    assert_eq!(working_in(&directory), Vec::<String>::new());
    assert!(!directory.exists() && !directory.with_extension("lock").exists());
    scratch.done("down");
}

#[tokio::test]
async fn kafka_comes_back_on_its_port_with_the_same_storage() {
    let scratch = Scratch::new();
    scratch.done("up --only kafka");
    let meta = scratch.stack().directory().join("kafka/data/meta.properties");
    let (port, before) =
        (scratch.port(Service::Kafka).await, std::fs::read_to_string(&meta).unwrap());
    scratch.done("stop kafka --kill");
    assert_eq!(scratch.run("status").0, Some(1));
    scratch.done("start kafka");
    assert_eq!(scratch.port(Service::Kafka).await, port);
    assert_eq!(std::fs::read_to_string(&meta).unwrap(), before);
}

#[tokio::test]
async fn redis_forgets_and_postgres_remembers_over_a_stop() {
    let scratch = Scratch::new();
    scratch.done("up --only redis,postgres");
    let (cache, database) =
        (scratch.port(Service::Redis).await, scratch.port(Service::Postgres).await);
    assert_eq!(redis(cache, "SET a 1").await, "+OK\r\n+OK\r\n");
    psql(database, "create table t as select 42 as answer");

    for stop in ["stop redis", "stop postgres --kill"] {
        scratch.done(stop);
        scratch.done(stop);
    }
    let (code, status) = scratch.run("status");
    assert_eq!((code, status.matches("stopped").count()), (Some(1), 2), "{status}");
    assert!(TcpStream::connect(("127.0.0.1", cache)).await.is_err());

    for start in ["start redis", "start postgres"] {
        scratch.done(start);
    }
    assert_eq!(scratch.run("status").0, Some(0));
    assert_eq!(redis(cache, "GET a").await, "$-1\r\n+OK\r\n");
    assert_eq!(psql(database, "select answer from t"), "42");
    assert_eq!(scratch.run("stop kafka").0, Some(1), "the stack has no Kafka");
}

#[tokio::test]
async fn a_frozen_server_keeps_its_process_and_goes_on_when_thawed() {
    let scratch = Scratch::new();
    scratch.done("up --only redis,postgres");
    let pids = scratch.pids().await;
    for service in ["redis", "postgres"] {
        scratch.done(&format!("freeze {service}"));
    }
    let (code, status) = scratch.run("status");
    assert_eq!((code, status.matches("frozen").count()), (Some(1), 2), "{status}");
    scratch.done("thaw redis");
    scratch.done("up --only postgres");
    assert_eq!(scratch.run("status").0, Some(0));
    assert_eq!(scratch.pids().await, pids);

    let stack = scratch.stack();
    stack.freeze(Service::Redis, &|_| {}).await.unwrap();
    stack.stop(Service::Redis, Ending::Stop, &|_| {}).await.unwrap();
    assert_eq!(scratch.run("thaw redis").0, Some(1), "it has ended");
}

#[tokio::test]
async fn two_commands_at_once_start_one_server() {
    let scratch = Scratch::new();
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| scratch.run("up --env --only redis"));
        (scratch.run("up --env --only redis"), other.join().unwrap())
    });
    assert_eq!(one.0, Some(0));
    assert_eq!(one, other);
    assert_eq!(scratch.pids().await.len(), 1);
}

#[tokio::test]
async fn a_killed_up_leaves_nothing_that_down_does_not_find() {
    let scratch = Scratch::new();
    let mut up = Command::new(env!("CARGO_BIN_EXE_harness"));
    let mut up = up.args(["stack", "up", "--name", scratch.name.as_str()]).spawn().unwrap();
    let stack = scratch.stack();
    while stack
        .status()
        .await
        .unwrap()
        .is_none_or(|all| all.iter().filter(|one| one.pid.is_some()).count() < 2)
    {
        tokio::task::yield_now().await;
    }
    up.kill().unwrap();
    up.wait().unwrap();
    let directory = stack.directory();
    scratch.done("down");
    assert!(!directory.exists());
    assert_eq!(working_in(&directory), Vec::<String>::new());
}

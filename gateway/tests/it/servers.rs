//! Where the real servers are: those that all tests share, or some that a test may break.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use uuid::Uuid;

/// Addresses of Kafka, Redis and Postgres.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    pub(crate) kafka_brokers: String,
    pub(crate) redis_url: String,
    pub(crate) database_url: String,
}

impl Servers {
    /// Those of the stack that `script/test` started. No test stops or empties them.
    pub(crate) fn shared() -> Self {
        Self {
            kafka_brokers: kafka_brokers(),
            redis_url: redis_url(),
            database_url: database_url(),
        }
    }
}

/// Servers of a test's own, to be stopped, frozen and started again. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Stack {
    name: String,
    pub(crate) servers: Servers,
}

impl Stack {
    pub(crate) fn start() -> Self {
        Self::start_only("kafka,redis,postgres")
    }

    /// Only some of them; the addresses of the others stay empty.
    pub(crate) fn start_only(services: &str) -> Self {
        let name = format!("it-{}", Uuid::new_v4().simple());
        let output = harness(&["up", "--env", "--name", &name, "--only", services]);
        let value = |setting: &str| {
            let start = format!("export {setting}=");
            let line = output.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap_or_default().to_owned()
        };
        let servers = Servers {
            kafka_brokers: value("KAFKA_BROKERS"),
            redis_url: value("REDIS_URL"),
            database_url: value("DATABASE_URL"),
        };
        Self { name, servers }
    }

    /// Ends one of `kafka`, `redis`, `postgres`: with a kill, or as an operator would.
    pub(crate) fn end(&self, service: &str, kill: bool) {
        let arguments = ["stop", service, "--name", &self.name, "--kill"];
        harness(&arguments[..if kill { 5 } else { 4 }]);
    }

    /// Starts it again on its port. Kafka and Postgres have their data, Redis is empty.
    pub(crate) fn restart(&self, service: &str) {
        harness(&["start", service, "--name", &self.name]);
    }

    /// Stops its processes where they are: it keeps its connections and says nothing.
    pub(crate) fn freeze(&self, service: &str) {
        harness(&["freeze", service, "--name", &self.name]);
    }

    pub(crate) fn thaw(&self, service: &str) {
        harness(&["thaw", service, "--name", &self.name]);
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        harness(&["down", "--name", &self.name]);
    }
}

/// Runs `harness stack ARGUMENTS`, which must succeed. Returns what it prints.
fn harness(arguments: &[&str]) -> String {
    let binary: PathBuf = Path::new(env!("CARGO_BIN_EXE_gateway")).with_file_name("harness");
    assert!(binary.exists(), "`{}` is missing: cargo build -p harness", binary.display());
    let output = Command::new(binary).arg("stack").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "harness stack {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// `KAFKA_BROKERS` of the stack that runs.
pub(crate) fn kafka_brokers() -> String {
    required("KAFKA_BROKERS")
}

/// `REDIS_URL` of the stack that runs.
pub(crate) fn redis_url() -> String {
    required("REDIS_URL")
}

/// `DATABASE_URL` of the stack that runs.
pub(crate) fn database_url() -> String {
    required("DATABASE_URL")
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests learn from the environment where the servers are"
)]
fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "`{name}` is not set: run `eval \"$(cargo run -p harness -- stack up --env)\"` first"
        )
    })
}

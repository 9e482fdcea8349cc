//! What this machine lacks to run scenarios, how to get it, and what works without it. Installs nothing.

use std::{path::Path, process::Stdio, time::Duration};

use rustix::process::{Resource, getrlimit};
use tokio::{process::Command, time::timeout};

use crate::{client, scenario, stack};

/// Fewest files that thousands of devices need open.
const OPEN_FILES_MIN: u64 = 4_096;

/// How long a program may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// Kafka runs on this version of Java or a later one.
const JAVA_MIN: u32 = 17;

/// One thing that is needed for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub what: &'static str,
    /// What is there; `Err`: why it is as good as missing.
    pub seen: Result<String, String>,
    /// The command that installs it.
    pub install: String,
    /// What works without it.
    pub without: &'static str,
}

/// Looks at everything. `gateway`: the program that scenarios run against.
pub async fn look(gateway: &Path) -> Vec<Finding> {
    let mut findings = vec![gateway_program(gateway)];
    findings.extend(servers().await);
    findings.extend(javascript().await);
    findings.extend(browser().await);
    findings.push(open_files());
    findings
}

fn gateway_program(path: &Path) -> Finding {
    let shown = path.display().to_string();
    Finding {
        what: "gateway",
        seen: if path.is_file() { Ok(shown) } else { Err(format!("there is no `{shown}`")) },
        install: "cargo build -p gateway".to_owned(),
        without: "`run --url` against gateways that run already",
    }
}

async fn servers() -> Vec<Finding> {
    let without = "`run --embedded` and `run --url`";
    let apt = |package: &str| format!("apt-get install --no-install-recommends {package}");
    let java = version(stack::java(), "-version").await.and_then(|line| match major(&line) {
        Some(found) if found >= JAVA_MIN => Ok(line),
        _ => Err(format!("version {JAVA_MIN} or later is needed, and this is {line}")),
    });
    let kafka = match stack::kafka_jars() {
        Some(jars) => Ok(format!("not needed, Kafka is in {}", jars.display())),
        None => version(stack::program(&["mvn"]), "--version").await,
    };
    let redis = version(stack::program(&["redis-server", "valkey-server"]), "--version").await;
    let postgres = version(stack::postgres_program("postgres"), "--version").await;
    let psql = version(stack::postgres_program("psql"), "--version").await;
    let finding = |what, seen, package| Finding { what, seen, install: apt(package), without };
    vec![
        finding("java", java, "default-jre-headless"),
        finding("mvn", kafka, "maven"),
        finding("redis-server", redis, "redis-server"),
        finding("postgres", postgres.and_then(|seen| psql.map(|_| seen)), "postgresql"),
    ]
}

async fn javascript() -> Vec<Finding> {
    let without = "every scenario without `client: js`; the others are skipped";
    let node = version(stack::program(&["node"]), "--version").await;
    let has_node = node.is_ok();
    let client = match client::lacking(scenario::Client::Js).await {
        None => Ok("harness/clients/js/node_modules".to_owned()),
        Some(_) if !has_node => Err("needs node first".to_owned()),
        Some(_) => Err("not installed".to_owned()),
    };
    let install = "apt-get install --no-install-recommends nodejs npm".to_owned();
    vec![
        Finding { what: "node", seen: node, install, without },
        Finding {
            what: "socket.io-client",
            seen: client,
            install: "npm ci --prefix harness/clients/js".to_owned(),
            without,
        },
    ]
}

async fn browser() -> Vec<Finding> {
    let without = "everything but the test of the HTML report itself";
    let finding = |what, seen, package: &str| {
        let install = format!("apt-get install --no-install-recommends {package}");
        Finding { what, seen, install, without }
    };
    let chromium = stack::program(&["chromium", "chromium-browser", "google-chrome"]);
    vec![
        finding("chromium", version(chromium, "--version").await, "chromium"),
        finding(
            "chromedriver",
            version(stack::program(&["chromedriver"]), "--version").await,
            "chromium-driver",
        ),
    ]
}

fn open_files() -> Finding {
    let limit = getrlimit(Resource::Nofile).current;
    let shown = limit.map_or("no limit".to_owned(), |limit| format!("at most {limit}"));
    let is_enough = limit.is_none_or(|limit| limit >= OPEN_FILES_MIN);
    Finding {
        what: "open files",
        seen: if is_enough {
            Ok(shown)
        } else {
            Err(format!("{shown}, {OPEN_FILES_MIN} are needed"))
        },
        install: format!("ulimit -n {OPEN_FILES_MIN}"),
        without: "scenarios with up to some hundred devices",
    }
}

/// The first line that a program says of itself.
async fn version(program: Option<std::path::PathBuf>, flag: &str) -> Result<String, String> {
    let program = program.ok_or_else(|| "not installed".to_owned())?;
    let mut command = Command::new(&program);
    let output = command.arg(flag).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(VERSION_LIMIT, output).await;
    let shown = program.display();
    let output = output.map_err(|_| format!("`{shown}` does not answer"))?;
    let output = output.map_err(|error| format!("`{shown}` does not start: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let first = said.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(first.map_or_else(|| shown.to_string(), str::to_owned))
}

/// The first number of a version, such as 17 of `openjdk version "17.0.9"`.
fn major(line: &str) -> Option<u32> {
    let from = line.find(|c: char| c.is_ascii_digit())?;
    let digits: String = line[from..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_java_is_its_first_number() {
        assert_eq!(major("openjdk version \"17.0.9\" 2023-10-17"), Some(17));
        assert_eq!(major("java version \"1.8.0_392\""), Some(1));
        assert_eq!(major("no version"), None);
    }

    #[tokio::test]
    async fn what_is_not_there_is_said_with_what_to_do() {
        let findings = look(Path::new("/nowhere/gateway")).await;
        assert_eq!(findings[0].seen, Err("there is no `/nowhere/gateway`".to_owned()));
        assert_eq!(findings[0].install, "cargo build -p gateway");
        assert_eq!(findings.len(), 10);
        assert_eq!(version(None, "-v").await, Err("not installed".to_owned()));
    }
}

//! Apache Kafka 4 without Docker or a tarball: one node, broker and controller in one Java process. Its data stays
//! over a stop; everything that a chat gateway must create itself (topics) is left to it.

use super::error::{StackError, doing};
use super::maven;
use super::places;
use super::process::Process;
use super::site::Site;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Small and quick to start rather than fast for days: a small heap, one collector thread, the quick compiler only.
const JAVA_OPTIONS: [&str; 9] = [
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    "-Djava.awt.headless=true",
];

/// A killed broker may come back only when its former self has timed out: at Kafka's 9 s a restart takes 13 s. Much
/// shorter, and a busy disk that holds the metadata log up for a few seconds makes the broker lose all its partitions.
const SESSION_TIMEOUT_MS: u32 = 6_000;
const HEARTBEAT_INTERVAL_MS: u32 = 1_000;

/// An empty group waits so long for more members: two workers that start together share the partitions out once, not twice.
const REBALANCE_DELAY_MS: u32 = 200;

/// The programs that are missing, each with the Debian package that has it.
pub(super) fn lacking() -> Result<Vec<(&'static str, &'static str)>, StackError> {
    let mut lacking = Vec::new();
    if java().is_none() {
        lacking.push(("java", "default-jre-headless"));
    }
    if !maven::jars()?.is_dir() && places::program(&["mvn"], &[]).is_none() {
        lacking.push(("mvn", "maven"));
    }
    Ok(lacking)
}

pub(super) async fn start(site: &Site<'_>) -> Result<Process, StackError> {
    let jars = maven::fetch(site.progress).await?;
    site.prepare(format(site, &jars)).await?;
    write_properties(site)?;
    let properties = site.directory.join("server.properties");
    site.serve(site.launch(&java_path()?, java_arguments(site, &jars, "kafka.Kafka", [properties])))
        .await
}

/// Kafka refuses to start on storage that was not formatted with a cluster's id.
async fn format(site: &Site<'_>, jars: &Path) -> Result<(), StackError> {
    let temporary = site.directory.join("tmp");
    fs::create_dir(&temporary).map_err(doing(format!("creating `{}`", temporary.display())))?;
    write_properties(site)?;
    let properties = site.directory.join("server.properties");
    let arguments = [
        "format".into(),
        "-t".into(),
        cluster_id().into(),
        "-c".into(),
        properties.into_os_string(),
    ];
    site.run(
        site.launch(
            &java_path()?,
            java_arguments(site, jars, "kafka.tools.StorageTool", arguments),
        ),
    )
    .await
}

fn write_properties(site: &Site<'_>) -> Result<(), StackError> {
    let path = site.directory.join("server.properties");
    let controller_port = site.entry.controller_port.unwrap_or_default();
    let text = properties(site.entry.port, controller_port, &site.directory.join("data"));
    fs::write(&path, text).map_err(doing(format!("writing `{}`", path.display())))
}

fn properties(port: u16, controller_port: u16, data: &Path) -> String {
    let data = data.display();
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.min.session.timeout.ms=1000
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms={REBALANCE_DELAY_MS}
broker.session.timeout.ms={SESSION_TIMEOUT_MS}
broker.heartbeat.interval.ms={HEARTBEAT_INTERVAL_MS}
"
    )
}

fn java_arguments(
    site: &Site<'_>,
    jars: &Path,
    class: &str,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Vec<OsString> {
    // Compression libraries unpack themselves into the temporary directory and stay there when the process is killed.
    let mut temporary = OsString::from("-Djava.io.tmpdir=");
    temporary.push(site.directory.join("tmp"));
    let mut all: Vec<OsString> = JAVA_OPTIONS.iter().map(OsString::from).collect();
    all.extend([temporary, "-cp".into(), jars.join("*").into_os_string(), class.into()]);
    all.extend(arguments.into_iter().map(Into::into));
    all
}

/// 22 characters, sixteen bytes in base64 to Kafka. Hexadecimal digits are such characters too, and the last one may only
/// carry two bits.
fn cluster_id() -> String {
    let digits = Uuid::new_v4().simple().to_string();
    format!("{}A", &digits[..21])
}

/// Java's program, if it is installed.
pub fn java() -> Option<PathBuf> {
    places::program(&["java"], &places::java_home())
}

fn java_path() -> Result<PathBuf, StackError> {
    java().ok_or_else(|| StackError::Lacking {
        what: "`java` is not installed".into(),
        remedy: "apt-get install default-jre-headless".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_not_created_by_accident_and_retention_is_left_alone() {
        let text = properties(20_001, 20_002, Path::new("/scratch/kafka/data"));
        assert!(text.contains("auto.create.topics.enable=false\n"));
        assert!(
            text.contains("listeners=PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002\n")
        );
        assert!(text.contains("log.dirs=/scratch/kafka/data\n"));
        assert!(!text.contains("log.retention"));
    }

    #[test]
    fn cluster_ids_are_22_characters_and_differ() {
        let id = cluster_id();
        assert_eq!(id.len(), 22);
        assert!(id.chars().all(|character| character.is_ascii_alphanumeric()));
        assert_ne!(id, cluster_id());
    }
}

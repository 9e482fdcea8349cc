//! Kafka's jars: fetched once from Maven Central into the cache of the user, complete or not at all. Two processes at once,
//! or one that is killed half way, cannot leave half a cache: a download goes to a directory of its own, which is renamed.

use super::error::{StackError, doing};
use super::places;
use super::site::{Progress, last_lines};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The version of Apache Kafka that stacks run.
pub const KAFKA_VERSION: &str = "4.3.1";
/// The binding that Kafka's logging needs. Kafka brings version 1 of the interface, to which bindings of version 2 do not fit.
const SLF4J_VERSION: &str = "1.7.36";
/// The goal by its full name: nothing is looked up, and every machine runs the same.
const COPY_DEPENDENCIES: &str =
    "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// How many lines of Maven's output an error shows.
const TAIL_LINES: usize = 20;

/// Where the jars are, or will be.
pub(super) fn jars() -> Result<PathBuf, StackError> {
    Ok(places::cache()?.join(format!("kafka-{KAFKA_VERSION}")))
}

/// Kafka's jars, if they have been fetched.
pub fn kafka_jars() -> Option<PathBuf> {
    // No place for them is as good as none of them.
    jars().ok().filter(|jars| jars.is_dir())
}

/// Downloads the jars unless they are there.
pub(super) async fn fetch(progress: Progress<'_>) -> Result<PathBuf, StackError> {
    let jars = jars()?;
    if jars.is_dir() {
        return Ok(jars);
    }
    let cache = places::cache()?;
    fs::create_dir_all(&cache).map_err(doing(format!("creating `{}`", cache.display())))?;
    let _lock = lock(&cache.join(format!("kafka-{KAFKA_VERSION}.lock"))).await?;
    if jars.is_dir() {
        return Ok(jars); // Whoever had the lock before us fetched them.
    }
    sweep(&cache)?;
    progress(&format!(
        "kafka: downloading version {KAFKA_VERSION} (50 MB, once) to {}",
        jars.display()
    ));
    let build = tempfile::Builder::new().prefix(&partial_prefix()).tempdir_in(&cache);
    let build = build.map_err(doing(format!("creating a directory in `{}`", cache.display())))?;
    download(build.path()).await?;
    fs::rename(build.path().join("jars"), &jars)
        .map_err(doing(format!("creating `{}`", jars.display())))?;
    Ok(jars)
}

async fn download(build: &Path) -> Result<(), StackError> {
    let pom = build.join("pom.xml");
    fs::write(&pom, pom_xml()).map_err(doing(format!("writing `{}`", pom.display())))?;
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--strict-checksums", "--file"]).arg(&pom);
    maven.args([COPY_DEPENDENCIES, "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", build.join("jars").display()));
    let output = maven
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(doing("running `mvn`"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Err(StackError::Download { version: KAFKA_VERSION, output: last_lines(&text, TAIL_LINES) })
}

fn pom_xml() -> String {
    format!(
        r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>chat-gateway</groupId>
  <artifactId>stack</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>{SLF4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"#
    )
}

async fn lock(path: &Path) -> Result<File, StackError> {
    let file = path.to_path_buf();
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).truncate(false).write(true).open(file)?;
        file.lock().map(|()| file)
    });
    let locked = locked.await.map_err(io::Error::other).and_then(|locked| locked);
    locked.map_err(doing(format!("locking `{}`", path.display())))
}

/// Removes what killed downloads left. We hold the lock, so nobody works in there.
fn sweep(cache: &Path) -> Result<(), StackError> {
    let sweeping = || doing(format!("clearing unfinished downloads from `{}`", cache.display()));
    for entry in fs::read_dir(cache).map_err(sweeping())? {
        let entry = entry.map_err(sweeping())?;
        if entry.file_name().to_string_lossy().starts_with(&partial_prefix()) {
            fs::remove_dir_all(entry.path()).map_err(sweeping())?;
        }
    }
    Ok(())
}

fn partial_prefix() -> String {
    format!("kafka-{KAFKA_VERSION}.partial-")
}

//! A client in another language: a program that reads commands and writes what it sees, a line of JSON each.
//! `clients/README.md` describes the lines.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{ClientError, Options};
use crate::scenario::Transport;

/// The stock JavaScript client in the line protocol.
const JS: &str = include_str!("../../clients/js/client.mjs");

/// How long a program may take to start and to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// How to get what the JavaScript client needs.
const JS_HELP: &str = "a device with `client: js` needs Node and socket.io-client: run `npm ci --prefix harness/clients/js`";

/// A running program. It ends when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(super) async fn connect(options: &Options) -> Result<Self, ClientError> {
        let mut process = Self::start()?;
        let transports = match options.transport {
            Transport::Websocket => json!(["websocket"]),
            Transport::Polling => json!(["polling"]),
            Transport::Upgrade => json!(["polling", "websocket"]),
        };
        process
            .tell(&json!({
                "do": "connect",
                "url": format!("http://{}", options.address),
                "transports": transports,
                "auth": options.auth,
                "authorization": options.authorization,
            }))
            .await?;
        let answer = process.hear().await?;
        match answer["saw"].as_str() {
            Some("connect") => Ok(process),
            _ => Err(ClientError::Refused(answer["text"].as_str().unwrap_or("refused").to_owned())),
        }
    }

    pub(super) async fn emit(
        &mut self,
        event: &str,
        payload: &Value,
        wants_ack: bool,
    ) -> Result<(), ClientError> {
        self.tell(&json!({"do": "emit", "event": event, "payload": payload, "ack": wants_ack}))
            .await
    }

    pub(super) async fn disconnect(mut self) {
        // If it is gone already, that is what was wanted.
        drop(self.tell(&json!({"do": "disconnect"})).await);
        drop(timeout(LIMIT, self.child.wait()).await);
    }

    fn start() -> Result<Self, ClientError> {
        let lacking = |error: std::io::Error| ClientError::Lacking(format!("{JS_HELP} ({error})"));
        let folder = js_folder().ok_or_else(|| ClientError::Lacking(JS_HELP.to_owned()))?;
        let mut child = Command::new("node")
            .args(["--input-type=module", "--eval", JS])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(lacking)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ClientError::Gone);
        };
        Ok(Self { child, input, output: BufReader::new(output).lines() })
    }

    async fn tell(&mut self, command: &Value) -> Result<(), ClientError> {
        let line = format!("{command}\n");
        self.input.write_all(line.as_bytes()).await.map_err(|_| ClientError::Gone)
    }

    async fn hear(&mut self) -> Result<Value, ClientError> {
        let line = timeout(LIMIT, self.output.next_line()).await;
        let line = line.map_err(|_| ClientError::Refused("no answer in time".to_owned()))?;
        match line {
            Ok(Some(line)) => serde_json::from_str(&line).map_err(|_| ClientError::Gone),
            Ok(None) | Err(_) => Err(ClientError::Lacking(JS_HELP.to_owned())),
        }
    }
}

/// Where socket.io-client is installed: beside the fixtures' repository, or where the harness was built.
fn js_folder() -> Option<PathBuf> {
    let built = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/js"));
    [PathBuf::from("harness/clients/js"), built]
        .into_iter()
        .find(|folder| folder.join("node_modules/socket.io-client").is_dir())
}

/// The version of the stock client that is installed here.
pub(super) fn library_version() -> Option<String> {
    let described = js_folder()?.join("node_modules/socket.io-client/package.json");
    let described: Value = serde_json::from_str(&std::fs::read_to_string(described).ok()?).ok()?;
    described["version"].as_str().map(str::to_owned)
}

/// The version of Node, as it says it.
pub(super) async fn node_version() -> Option<String> {
    let said = Command::new("node").arg("--version").kill_on_drop(true).output();
    let said = timeout(LIMIT, said).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// What the JavaScript client lacks here.
pub(super) async fn lacking() -> Option<String> {
    let has_all = js_folder().is_some() && node_version().await.is_some();
    (!has_all).then(|| JS_HELP.to_owned())
}

//! `standalone` when its disk is full: what it cannot keep it does not accept, and it goes on when there is room again.

use std::{
    collections::HashSet,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    client::{Client, Transport},
    people::{Person, contents, message},
    process::{Process, Settings},
    world::eventually,
};

const LIMIT: Duration = Duration::from_secs(30);

/// Lets the process write no file beyond so many bytes, which to it is a full disk.
fn limit_files(process: &Process, bytes: &str) {
    let (pid, limit) = (process.pid().to_string(), format!("--fsize={bytes}:unlimited"));
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(status.success(), "prlimit {limit}");
}

/// Sends messages one by one until one is answered with `status`. Notes those that were accepted.
async fn talk_until(
    client: &mut Client,
    room: &str,
    status: &str,
    next: &mut u64,
    accepted: &mut HashSet<String>,
) {
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < LIMIT, "no message was {status}");
        let content = format!("{next} {}", "x".repeat(4_000));
        *next += 1;
        let asked = Instant::now();
        let ack = client.ask("sendMessage", &message(room, &content)).await;
        assert!(asked.elapsed() < Duration::from_secs(10), "{ack} after {:?}", asked.elapsed());
        if ack["status"] == "ACCEPTED" {
            accepted.insert(content);
        } else {
            assert_eq!(ack["error"], "Message delivery failed");
        }
        if ack["status"] == status {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_messages_and_loses_none_that_were_accepted() {
    let data = TempDir::new().unwrap();
    let settings = Settings::new().with("DATA_DIR", data.path().display());
    // Without this the signal, which a really full disk does not send, would end the process.
    let binary = ["env", "--ignore-signal=XFSZ", env!("CARGO_BIN_EXE_gateway")];
    let process = Process::spawn(settings.command_through(&binary, &["standalone"]));
    let alice = Person::new();
    let room = alice.create_room(&process).await;
    let mut client = Client::connect(process.address(), Transport::WebSocket, &alice.token).await;
    let (mut next, mut accepted) = (0, HashSet::new());
    for _ in 0..3 {
        talk_until(&mut client, &room, "ACCEPTED", &mut next, &mut accepted).await;
        limit_files(&process, "500000");
        talk_until(&mut client, &room, "FAILED", &mut next, &mut accepted).await;
        limit_files(&process, "unlimited");
        talk_until(&mut client, &room, "ACCEPTED", &mut next, &mut accepted).await;
    }
    let is_whole = async || {
        let stored = contents(&alice.history(&process, &room).await);
        let distinct: HashSet<_> = stored.iter().cloned().collect();
        assert_eq!(distinct.len(), stored.len(), "nothing is stored twice");
        accepted.is_subset(&distinct)
    };
    eventually("everything accepted is stored", LIMIT, is_whole).await;
}

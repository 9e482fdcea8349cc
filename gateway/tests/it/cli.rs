//! Contract, section 6: commands, settings, exit codes.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::Output,
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{
    client::Transport,
    people::{Person, message},
    process::{Process, SECRET, Settings, signal},
    world::{Backends, World, isolated},
};

fn run(settings: &Settings, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = settings.command(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_missing_or_wrong_setting_exits_64_and_is_named_with_all_others() {
    let settings = Settings::new().with("PORT", "seventy").without("JWT_SECRET");
    for role in ["serve", "check"] {
        let (code, _, stderr) = run(&settings, &[role]);
        assert_eq!(code, 64, "{stderr}");
        for name in ["PORT", "JWT_SECRET", "KAFKA_BROKERS", "REDIS_URL", "DATABASE_URL"] {
            assert!(stderr.contains(&format!("gateway: {name}: ")), "{name}: {stderr}");
        }
    }
    let (code, _, stderr) = run(&Settings::new().with("LOG_LEVEL", "a=b=c"), &["dev"]);
    assert_eq!(code, 64);
    assert!(stderr.contains("LOG_LEVEL"), "{stderr}");
    let settings =
        Settings::new().with("JWT_ALGORITHM", "RS256").with("JWT_PUBLIC_KEY_FILE", "/nowhere");
    let (code, _, stderr) = run(&settings.without("JWT_SECRET"), &["check", "standalone"]);
    assert_eq!(code, 64);
    assert!(stderr.contains("JWT_PUBLIC_KEY_FILE") && stderr.contains("/nowhere"), "{stderr}");
}

#[test]
fn check_shows_every_setting_with_unit_and_source_and_no_secret() {
    let settings = Settings::new().with("DATABASE_URL", "postgres://chat:hush@db/chat");
    let (code, stdout, _) = run(&settings, &["check", "dev"]);
    assert_eq!(code, 0);
    assert!(!stdout.contains("hush") && !stdout.contains(SECRET), "{stdout}");
    let line = |name: &str| {
        let line = stdout.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("PING_INTERVAL_MS"), "PING_INTERVAL_MS 25000 ms default");
    assert_eq!(line("JWT_SECRET"), "JWT_SECRET ******** environment");
    assert_eq!(line("DATABASE_URL"), "DATABASE_URL postgres://chat:********@db/chat environment");
}

#[test]
fn kafka_or_the_database_down_at_the_start_exits_69_and_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base = Settings::new().with("START_LIMIT_MS", 1_000);
    let down = base
        .clone()
        .with("KAFKA_BROKERS", free)
        .with("DATABASE_URL", format!("postgres://nobody@{free}/none"))
        .with("REDIS_URL", "redis://127.0.0.1:1");
    for role in ["serve", "worker", "migrate"] {
        let (code, _, stderr) = run(&down, &[role]);
        assert_eq!(code, 69, "{role}: {stderr}");
        assert!(stderr.contains("DATABASE_URL"), "{stderr}");
        // Nothing beside the reason: what ends because of it is no news.
        assert!(!stderr.contains("nobody asked for a stop"), "{role}: {stderr}");
    }
    let data = TempDir::new().unwrap();
    let embedded = base.with("DATA_DIR", data.path().display()).with("KAFKA_BROKERS", free);
    let (code, _, stderr) = run(&embedded, &["dev"]);
    assert_eq!(code, 69, "{stderr}");
    assert!(stderr.contains("KAFKA_BROKERS"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_and_worker_name_the_command_that_is_missing() {
    let settings = isolated(Settings::new()).await;
    for role in ["serve", "worker"] {
        let (code, _, stderr) = run(&settings, &[role]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("run `gateway migrate` first"), "{stderr}");
    }
    let (code, _, stderr) = run(&settings, &["migrate"]);
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = run(&settings, &["migrate"]);
    assert_eq!(code, 0, "a second time as well: {stderr}");
    drop(Process::start(&["serve"], &settings));
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_down_only_warns() {
    let settings = isolated(Settings::new()).await.with("REDIS_URL", "redis://127.0.0.1:1");
    let world = World::real_with(1, 1, settings);
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    assert_eq!(client.ask("sendMessage", &message(&room, "hi")).await["status"], "ACCEPTED");
    assert_eq!(client.message().await["content"], "hi");
    let path = format!("/users/{}/presence", alice.id);
    let response = alice.get(world.gateway(), &path).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    assert!(world.gateway().log().contains("presence"), "{}", world.gateway().log());
}

#[test]
fn a_minted_token_opens_the_door() {
    let user = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
    let (code, stdout, _) = run(&Settings::new(), &["token", "--user", user]);
    assert_eq!(code, 0);
    assert_eq!(stdout.trim().split('.').count(), 3);
    let (code, _, stderr) = run(&Settings::new(), &["token", "--user", "alice"]);
    assert_eq!(code, 64);
    assert!(stderr.contains("--user: "), "{stderr}");
    assert_eq!(run(&Settings::new().without("JWT_SECRET"), &["token", "--user", user]).0, 64);
}

#[test]
fn wrong_arguments_exit_64_and_help_exits_0() {
    for arguments in [&["serv"][..], &["--nonsense"], &["token"], &["check", "nobody"]] {
        let (code, _, stderr) = run(&Settings::new(), arguments);
        assert_eq!(code, 64, "{arguments:?}: {stderr}");
    }
    for arguments in [&["--help"][..], &["--version"], &["help", "serve"]] {
        let (code, stdout, _) = run(&Settings::new(), arguments);
        assert_eq!(code, 0, "{arguments:?}");
        assert!(!stdout.is_empty(), "{arguments:?}");
    }
}

/// It would be `dev`'s, and what the sub-command is given to keep would be somewhere else.
#[test]
fn a_flag_of_dev_before_another_command_is_refused() {
    let data = TempDir::new().unwrap();
    let directory = data.path().join("volume").display().to_string();
    for arguments in [
        &["--data", &directory, "standalone"][..],
        &["--data", &directory, "dev"],
        &["--ephemeral", "dev"],
        &["--ephemeral", "serve"],
    ] {
        let (code, _, stderr) = run(&Settings::new(), arguments);
        assert_eq!(code, 64, "{arguments:?}: {stderr}");
        assert!(stderr.contains("cannot be used with"), "{stderr}");
    }
}

#[test]
fn a_second_process_on_the_same_data_directory_is_refused() {
    let data = TempDir::new().unwrap();
    let settings = Settings::new().with("DATA_DIR", data.path().display());
    let mut first = Process::start(&["standalone"], &settings);
    let (code, _, stderr) = run(&settings, &["standalone"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("DATA_DIR") && stderr.contains("another process"), "{stderr}");
    first.kill();
    drop(Process::start(&["standalone"], &settings));
}

#[test]
fn a_second_process_on_the_same_database_file_is_refused_by_whatever_name() {
    let data = TempDir::new().unwrap();
    let directory = |name: &str| data.path().join(name).display().to_string();
    let file = data.path().join("shared.db");
    std::os::unix::fs::symlink(&file, data.path().join("link.db")).unwrap();
    let on = |data: &str, database: &str| {
        let url = format!("sqlite:{database}");
        Settings::new().with("DATA_DIR", directory(data)).with("DATABASE_URL", url)
    };
    let first = Process::start(&["standalone"], &on("a", &directory("shared.db")));
    let embedded = Settings::new().with("DATA_DIR", directory("c"));
    let second = Process::start(&["standalone"], &embedded);
    for settings in [
        on("b", &directory("shared.db")),
        on("b", &directory("link.db")),
        on("b", &directory("c/chat.db")),
    ] {
        let (code, _, stderr) = run(&settings, &["standalone"]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("DATABASE_URL") && stderr.contains("another process"), "{stderr}");
    }
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_named_as_such() {
    let data = TempDir::new().unwrap();
    let settings = Settings::new().with("DATA_DIR", data.path().display());
    Process::start(&["standalone"], &settings).kill();
    let options = SqliteConnectOptions::new().filename(data.path().join("chat.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let newer = "UPDATE _sqlx_migrations SET version = 999999 WHERE version = 1";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    drop(connection);
    let (code, _, stderr) = run(&settings, &["standalone"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("schema") && stderr.contains("999999"), "{stderr}");
}

#[test]
fn a_parameter_that_is_not_known_is_named_without_its_value() {
    let url = "postgres://nobody@127.0.0.1:1/chat?passwd=hunter2";
    let settings = Settings::new().with("DATABASE_URL", url).with("START_LIMIT_MS", 100);
    let data = TempDir::new().unwrap();
    let settings = settings.with("DATA_DIR", data.path().display());
    for level in ["info", "trace", "sqlx_postgres::options::parse=trace,info"] {
        let (code, _, stderr) = run(&settings.clone().with("LOG_LEVEL", level), &["standalone"]);
        assert_eq!(code, 69, "{stderr}");
        assert!(stderr.contains("`passwd`") && !stderr.contains("hunter2"), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_level_of_logs_shows_a_token_or_what_somebody_wrote() {
    let level = "trace,tungstenite::protocol=trace";
    let world = World::with(Backends::Embedded, Settings::new().with("LOG_LEVEL", level)).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    client.ask("sendMessage", &message(&room, "hush-hush")).await;
    assert_eq!(client.message().await["content"], "hush-hush");
    let log = world.gateway().log();
    assert!(log.contains("DEBUG"), "{} bytes", log.len());
    let signature = alice.token.rsplit('.').next().unwrap();
    for secret in ["hush-hush", signature] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_signals_drain_and_exit_0() {
    for backends in [Backends::Embedded, Backends::Real] {
        for signal in ["TERM", "INT"] {
            let mut world = World::start(backends).await;
            let alice = Person::new();
            let room = world.room_of(std::slice::from_ref(&alice)).await;
            let mut clients = Vec::new();
            for transport in [Transport::WebSocket, Transport::Polling] {
                clients.push(world.connect(transport, &alice).await);
            }
            let packets: Vec<String> = (0..200)
                .map(|n| format!("42{n}{}", json!(["sendMessage", message(&room, "in flight")])))
                .collect();
            for client in &mut clients {
                client.send_packets(&packets).await;
                // One ack proves that the gateway has begun to read them.
                assert!(client.packet().await.unwrap().contains("ACCEPTED"));
            }
            world.gateways[0].signal(signal);
            let acked = clients.iter_mut().map(async |client| {
                let mut acks = 1;
                while let Some(packet) = client.packet().await {
                    assert!(packet.starts_with("43"), "no `41` in a drain: {packet}");
                    acks += 1;
                }
                acks
            });
            let acked = futures_util::future::join_all(acked).await;
            assert_eq!(acked, [packets.len(); 2], "every event is acknowledged, {signal}");
            assert_eq!(world.gateways[0].wait().code(), Some(0), "{}", world.gateways[0].log());
            for worker in &mut world.workers {
                assert_eq!(worker.terminate().code(), Some(0));
            }
        }
    }
}

#[test]
fn a_start_that_waits_for_a_backend_ends_at_once_when_asked() {
    let settings = Settings::new()
        .with("KAFKA_BROKERS", "127.0.0.1:1")
        .with("REDIS_URL", "redis://127.0.0.1:1")
        .with("DATABASE_URL", "postgres://nobody@127.0.0.1:1/chat");
    for (role, code) in [("serve", 0), ("worker", 0), ("migrate", 1)] {
        let mut child = settings.command(&[role]).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        // It says what it waits for: by then it listens to signals.
        log.read_line(&mut String::new()).unwrap();
        signal(&child, "TERM");
        let started = Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{role}");
        assert!(started.elapsed() < Duration::from_secs(3), "{role}: {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_starts_without_a_setting_and_its_tokens_work() {
    let mut settings = Settings::new().without("JWT_SECRET").without("HOST").without("ADMIN_HOST");
    settings = settings.with("HOME", "/nonexistent");
    let mut process = Process::start(&["--ephemeral"], &settings);
    let output = process.read_output_until("})();");
    let token = output.lines().find_map(|line| line.trim().strip_prefix("alice")).unwrap().trim();
    let mut client =
        crate::client::Client::connect(process.address(), Transport::WebSocket, token).await;
    assert_eq!(client.ask("heartbeat", &json!({})).await, json!({"success": true}));
    assert!(output.contains("embedded"), "{output}");
    assert_eq!(process.terminate().code(), Some(0));
    tokio::time::timeout(Duration::from_secs(1), client.packet()).await.unwrap();
}

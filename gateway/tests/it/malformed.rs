//! Bad input: a clear error or the end of that one transport; nobody else notices, nothing is lost, no panic.

use std::time::Duration;

use proptest::{
    prelude::{Just, Strategy, any, prop, prop_oneof},
    strategy::ValueTree as _,
    test_runner::TestRunner,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    client::{Client, Transport},
    people::{Person, message},
    world::{Backends, World},
};

/// Payloads and contents that each property is tried with.
const CASES: usize = 400;

/// Any JSON value, with the names and values that the gateway looks for.
fn any_json(room: &str) -> impl Strategy<Value = Value> + use<> {
    let id = "7c9e6679-7425-40de-944b-e07fc1f90ae7".to_owned();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!(room)),
        Just(json!(id)),
        Just(json!("TEXT")),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let key = prop_oneof![
            Just("roomId".to_owned()),
            Just("clientMsgId".to_owned()),
            Just("content".to_owned()),
            Just("type".to_owned()),
            Just("after".to_owned()),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn any_payload_of_any_event_is_acked_and_never_panics() {
    let world = World::start(Backends::Embedded).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    let mut runner = TestRunner::default();
    let payloads = any_json(&room);
    for case in 0..CASES {
        let payload = payloads.new_tree(&mut runner).unwrap().current();
        for event in ["joinRoom", "leaveRoom", "sendMessage", "heartbeat"] {
            let ack = client.ask(event, &payload).await;
            assert!(ack.is_object(), "case {case}: {event} {payload}: {ack}");
        }
    }
    assert!(!world.gateway().log().contains("panicked"), "{}", world.gateway().log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_comes_back_identical() {
    for backends in [Backends::Embedded, Backends::Real] {
        let world = World::start(backends).await;
        let alice = Person::new();
        let room = world.room_of(std::slice::from_ref(&alice)).await;
        let mut client = world.connect(Transport::WebSocket, &alice).await;
        client.join(&room).await;
        let mut runner = TestRunner::default();
        let texts = prop_oneof![
            any::<String>(),
            prop::collection::vec(any::<char>(), 1..40).prop_map(String::from_iter),
            prop::collection::vec(any::<char>(), 2_000..2_500).prop_map(String::from_iter),
        ];
        for _ in 0..CASES / 4 {
            let content = texts.new_tree(&mut runner).unwrap().current();
            let fits = (1..=5_000).contains(&content.encode_utf16().count());
            let is_good = fits && !content.contains('\0');
            let sent = message(&room, &content);
            let ack = client.ask("sendMessage", &sent).await;
            assert_eq!(ack["status"], if is_good { "ACCEPTED" } else { "FAILED" }, "{content:?}");
            if is_good {
                let heard = client.message().await;
                assert_eq!(heard["content"], json!(content));
                assert_eq!(heard["clientMsgId"], sent["clientMsgId"]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_frames_end_their_own_transport_at_most() {
    let world = World::start(Backends::Embedded).await;
    let people = [Person::new(), Person::new()];
    let room = world.room_of(&people).await;
    let mut witness = world.connect(Transport::WebSocket, &people[0]).await;
    witness.join(&room).await;
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    let frames = [
        String::new(),
        "x".to_owned(),
        "4".to_owned(),
        "42".to_owned(),
        "42[".to_owned(),
        "42{}".to_owned(),
        "42[7]".to_owned(),
        r#"42["\ud800"]"#.to_owned(),
        format!(r#"421["sendMessage",{deep}]"#),
        format!("421{deep}"),
        "42999999999999999999999[\"heartbeat\"]".to_owned(),
        "40/nowhere,".to_owned(),
        "45-[]".to_owned(),
        "451-[\"sendMessage\",{\"_placeholder\":true,\"num\":0}]".to_owned(),
        "459999999999-[\"x\"]".to_owned(),
        "430[]".to_owned(),
        "44{}".to_owned(),
        "3".to_owned(),
        "5".to_owned(),
        "2probe".to_owned(),
        "x".repeat(10_000_000),
    ];
    for frame in &frames {
        let mut client = world.connect(Transport::WebSocket, &people[1]).await;
        client.try_send_packet(frame).await;
        client.try_send_packet(r#"427["heartbeat",{}]"#).await;
        // Answered, or closed; what else comes in between does not matter.
        let is_told = async {
            while let Some(packet) = client.packet().await {
                if packet.starts_with("437[") {
                    break;
                }
            }
        };
        let shown: String = frame.chars().take(40).collect();
        tokio::time::timeout(Duration::from_secs(5), is_told).await.expect(&shown);
        let ack = witness.ask("sendMessage", &message(&room, "still here")).await;
        assert_eq!(ack["status"], "ACCEPTED", "{shown}");
    }
    let path = format!("/rooms/{room}/messages");
    let limit = Duration::from_secs(10);
    crate::world::eventually("nothing of the others' is lost", limit, async || {
        let history = people[0].get(world.gateway(), &path).await;
        history.json::<Vec<Value>>().await.unwrap().len() == frames.len()
    })
    .await;
    assert!(!world.gateway().log().contains("panicked"), "{}", world.gateway().log());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_over_polling_are_refused_and_hurt_nobody() {
    let world = World::start(Backends::Embedded).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut witness = world.connect(Transport::WebSocket, &alice).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let huge = "x".repeat(10_000_000);
    let event = format!("421{}", json!(["sendMessage", message(&room, &huge)]));
    let client = world.connect(Transport::Polling, &alice).await;
    let url = format!("/socket.io/?EIO=4&transport=polling&sid={}", client.sid);
    for (path, body) in [(url.as_str(), event), ("/rooms", json!({"name": huge}).to_string())] {
        let request = http.post(world.gateway().url(path)).bearer_auth(&alice.token).body(body);
        // Cut off while it was still sending is an answer as well.
        if let Ok(response) = request.send().await {
            assert!(response.status().is_client_error(), "{path}: {}", response.status());
        }
        let ack = witness.ask("sendMessage", &message(&room, "still here")).await;
        assert_eq!(ack["status"], "ACCEPTED");
    }
    assert!(!world.gateway().log().contains("panicked"), "{}", world.gateway().log());
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_hurt_nobody() {
    let world = World::start(Backends::Embedded).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |query: &str| world.gateway().url(&format!("/socket.io/?{query}"));
    for query in [
        "",
        "EIO=3&transport=polling",
        "EIO=4&transport=carrier-pigeon",
        "EIO=4&transport=polling&sid=nonsense",
        "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA",
        "EIO=4&transport=websocket",
        "transport=polling",
    ] {
        let response = http.get(url(query)).send().await.unwrap();
        assert!(response.status().is_client_error(), "{query}: {}", response.status());
    }
    let raw = async |bytes: &[u8]| {
        let mut stream = TcpStream::connect(world.gateway().address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is an answer as well.
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8_lossy(&answer).into_owned()
    };
    for bytes in
        [&b"\0\0\0\0\r\n\r\n"[..], b"GET", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &vec![0xff; 70_000]]
    {
        let answer = raw(bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let mut client = world.connect(Transport::WebSocket, &Person::new()).await;
    assert_eq!(client.ask("heartbeat", &json!({})).await, json!({"success": true}));
    assert!(!world.gateway().log().contains("panicked"), "{}", world.gateway().log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_sends_its_body_is_answered_all_the_same() {
    let settings = crate::process::Settings::new().with("HEADER_TIMEOUT_MS", 300);
    let world = World::with(Backends::Embedded, settings).await;
    let mut stream = TcpStream::connect(world.gateway().address()).await.unwrap();
    let token = Person::new().token;
    let head = format!(
        "POST /rooms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 500\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_drips_its_header_is_cut_off() {
    let settings = crate::process::Settings::new().with("HEADER_TIMEOUT_MS", 300);
    let world = World::with(Backends::Embedded, settings).await;
    let mut stream = TcpStream::connect(world.gateway().address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX: ").await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_does_not_read_is_closed_and_the_others_hear_on() {
    let settings = crate::process::Settings::new().with("SOCKET_QUEUE_PACKETS_MAX", 64);
    let world = World::with(Backends::Embedded, settings).await;
    let people = [Person::new(), Person::new()];
    let room = world.room_of(&people).await;
    let mut deaf = world.connect(Transport::WebSocket, &people[1]).await;
    deaf.join(&room).await;
    let mut alice = world.connect(Transport::WebSocket, &people[0]).await;
    alice.join(&room).await;
    let large = "x".repeat(5_000);
    let metrics = async || {
        reqwest::get(world.gateway().admin_url("/metrics")).await.unwrap().text().await.unwrap()
    };
    let mut sent: usize = 0;
    while !metrics().await.contains("sockets_closed_slow_total 1") {
        for _ in 0..50 {
            sent += 1;
            assert_eq!(
                alice.ask("sendMessage", &message(&room, &large)).await["status"],
                "ACCEPTED"
            );
        }
        assert!(sent < 20_000, "a socket that does not read is still open");
    }
    let heard = async {
        while let Some(packet) = deaf.packet().await {
            assert!(packet.starts_with("42"), "{packet}");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("its transport is closed");
    crate::world::eventually("one socket left", Duration::from_secs(10), async || {
        metrics().await.contains("\nsockets 1\n")
    })
    .await;
    let last: Client = alice;
    drop(last);
}

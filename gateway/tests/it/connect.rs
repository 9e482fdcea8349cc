//! Contract, section 1: authentication, once, at connect, over every transport.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::{
    client::{Client, Transport},
    people::Person,
    process::{SECRET, Settings},
    world::{Backends, World},
};

const TRANSPORTS: [Transport; 3] = [Transport::WebSocket, Transport::Polling, Transport::Upgrade];

fn token(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_connects_from_the_auth_payload_or_the_header() {
    let world = World::start(Backends::Embedded).await;
    let alice = Person::new();
    let address = world.gateway().address();
    for transport in TRANSPORTS {
        for (header, auth) in [
            (None, Some(json!({"token": alice.token}))),
            (Some(format!("Bearer {}", alice.token)), None),
            (Some(format!("bEARER {}", alice.token)), Some(json!({}))),
            (Some(alice.token.clone()), Some(json!({"token": ""}))),
            (Some("Bearer nonsense".to_owned()), Some(json!({"token": alice.token}))),
        ] {
            let mut client = Client::open(address, transport, header.as_deref()).await;
            let hello = auth.as_ref().map(Value::to_string).unwrap_or_default();
            client.send_packet(&format!("40{hello}")).await;
            let connected = client.packet().await.unwrap();
            let is_hello = connected.starts_with(r#"40{"sid":""#) && connected.ends_with(r#""}"#);
            assert!(is_hello, "{transport:?} {header:?} {auth:?}: {connected}");
            assert_eq!(client.ask("heartbeat", &json!({})).await, json!({"success": true}));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_connected_and_disconnected_at_once_and_its_transport_closed_later() {
    let settings = Settings::new().with("CONNECT_TIMEOUT_MS", 400);
    let world = World::with(Backends::Embedded, settings).await;
    let alice = Person::new();
    let good = json!({"sub": alice.id, "exp": now() + 60});
    let bad = [
        json!({}),
        json!({"token": "nonsense"}),
        json!({"token": null}),
        json!({"token": 7}),
        json!({"token": {"token": alice.token}}),
        json!({"token": format!("Bearer {}", alice.token)}),
        json!({"token": token(Algorithm::HS256, "the secret of somebody else, 32 bytes", &good)}),
        json!({"token": token(Algorithm::HS512, SECRET, &good)}),
        json!({"token": token(Algorithm::HS256, SECRET, &json!({"sub": alice.id}))}),
        json!({"token": token(Algorithm::HS256, SECRET, &json!({"sub": alice.id, "exp": now() - 10}))}),
        json!({"token": token(Algorithm::HS256, SECRET, &json!({"sub": alice.id, "exp": "9999999999"}))}),
        json!({"token": token(Algorithm::HS256, SECRET, &json!({"sub": "alice", "exp": now() + 60}))}),
    ];
    for transport in TRANSPORTS {
        for auth in &bad {
            let mut client = Client::open(world.gateway().address(), transport, None).await;
            client.send_packet(&format!("40{auth}")).await;
            let connected = client.packet().await.unwrap();
            assert!(connected.starts_with("40{\"sid\":"), "{transport:?} {auth}: {connected}");
            assert_eq!(client.packet().await.as_deref(), Some("41"), "{transport:?} {auth}");
            assert!(
                client.is_quiet_for(Duration::from_millis(50)).await,
                "closed in the same breath"
            );
            assert_eq!(client.packet().await, None, "reaped after the connect timeout");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_a_public_socket_id_cannot_take_its_session_over() {
    let world = World::start(Backends::Embedded).await;
    let alice = Person::new();
    let mut phone = world.connect(Transport::Polling, &alice).await;
    let presence = format!("/users/{}/presence", alice.id);
    crate::world::eventually("the id is public", Duration::from_secs(5), async || {
        let seen: Value = alice.get(world.gateway(), &presence).await.json().await.unwrap();
        seen["sockets"][0]["socketId"] == json!(phone.socket_id)
    })
    .await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let sealed = phone.sid.replace(|c: char| c.is_ascii_digit(), "0");
    for sid in [&phone.socket_id, &sealed, &format!("{}.", phone.socket_id)] {
        let url = world.gateway().url(&format!("/socket.io/?EIO=4&transport=polling&sid={sid}"));
        assert_eq!(http.get(&url).send().await.unwrap().status(), 400, "{sid}");
        assert_eq!(http.post(&url).body("1").send().await.unwrap().status(), 400, "{sid}");
        let address = world.gateway().address();
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket&sid={sid}");
        assert!(tokio_tungstenite::connect_async(url).await.is_err(), "{sid}");
    }
    assert_eq!(phone.ask("heartbeat", &json!({})).await, json!({"success": true}));
    phone.upgrade(world.gateway().address()).await;
    assert_eq!(phone.ask("heartbeat", &json!({})).await, json!({"success": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_bad_token_on_the_same_transport_ends_it() {
    let world = World::start(Backends::Embedded).await;
    for transport in TRANSPORTS {
        let mut client = Client::open(world.gateway().address(), transport, None).await;
        client.send_packet("40{}").await;
        assert!(client.packet().await.unwrap().starts_with("40{"));
        assert_eq!(client.packet().await.as_deref(), Some("41"));
        client.try_send_packet("40{}").await;
        while client.packet().await.is_some() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_back_is_given_the_whole_time_after_the_next_goodbye() {
    let settings = Settings::new().with("CONNECT_TIMEOUT_MS", 2000);
    let world = World::with(Backends::Embedded, settings).await;
    let hello = format!("40{}", json!({"token": Person::new().token}));
    for transport in TRANSPORTS {
        let mut client = Client::open(world.gateway().address(), transport, None).await;
        client.send_packet(&hello).await;
        assert!(client.packet().await.unwrap().starts_with("40{"));
        client.send_packet("41").await;
        assert!(client.is_quiet_for(Duration::from_millis(300)).await, "{transport:?}");
        client.send_packet(&hello).await;
        assert!(client.packet().await.unwrap().starts_with("40{"));
        assert!(client.is_quiet_for(Duration::from_millis(1200)).await, "{transport:?}");
        client.send_packet("41").await;
        let limit = Duration::from_millis(1200);
        assert!(client.is_quiet_for(limit).await, "{transport:?}: reaped for the first goodbye");
        assert_eq!(client.packet().await, None, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_have_a_limit_also_those_that_hold_no_connection() {
    let settings = Settings::new().with("CONNECTIONS_MAX", 3).with("CONNECT_TIMEOUT_MS", 300);
    let world = World::with(Backends::Embedded, settings).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = world.gateway().url("/socket.io/?EIO=4&transport=polling");
    for _ in 0..3 {
        assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
    }
    assert_eq!(http.get(&url).send().await.unwrap().status(), 503);
    // Their places come back with their end.
    let limit = Duration::from_secs(5);
    crate::world::eventually("a place", limit, async || {
        http.get(&url).send().await.unwrap().status() == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_a_string_is_not_saved_by_a_good_header() {
    let world = World::start(Backends::Embedded).await;
    let header = format!("Bearer {}", Person::new().token);
    let address = world.gateway().address();
    let mut client = Client::open(address, Transport::WebSocket, Some(&header)).await;
    client.send_packet(r#"40{"token":7}"#).await;
    assert!(client.packet().await.unwrap().starts_with("40"));
    assert_eq!(client.packet().await.as_deref(), Some("41"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_that_never_connects_is_closed() {
    let settings = Settings::new().with("CONNECT_TIMEOUT_MS", 300);
    let world = World::with(Backends::Embedded, settings).await;
    for transport in TRANSPORTS {
        let mut client = Client::open(world.gateway().address(), transport, None).await;
        assert_eq!(client.packet().await, None, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_limit_a_connection_is_answered_503_before_the_upgrade() {
    let settings = Settings::new().with("CONNECTIONS_MAX", 1);
    let world = World::with(Backends::Embedded, settings).await;
    let alice = Person::new();
    let _first = world.connect(Transport::WebSocket, &alice).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = world.gateway().url("/socket.io/?EIO=4&transport=polling");
    for url in [url, world.gateway().url("/rooms")] {
        let response = http.get(url).send().await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["statusCode"], 503);
        assert_eq!(body["error"], "Service Unavailable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_the_named_header_tells_the_clients_address() {
    let settings = Settings::new()
        .with("CLIENT_ADDRESS_HEADER", "Authorization")
        .with("LOG_LEVEL", "warn,gateway::app=info,gateway::socket::connect=debug");
    let world = World::with(Backends::Embedded, settings).await;
    let alice = Person::new();
    let address = world.gateway().address();
    // Any header will do for the test; this is the one that the client can set.
    let mut client = Client::open(address, Transport::WebSocket, Some("192.0.2.7")).await;
    client.send_packet(&format!("40{}", json!({"token": alice.token}))).await;
    // An event before the answer would close the transport, as with every Socket.IO server.
    assert!(client.packet().await.unwrap().starts_with("40{"));
    assert_eq!(client.ask("heartbeat", &json!({})).await, json!({"success": true}));
    let _direct = world.connect(Transport::WebSocket, &alice).await;
    crate::world::eventually("both are logged", Duration::from_secs(5), async || {
        let log = world.gateway().log();
        log.contains("from 192.0.2.7\"") && log.contains("from 127.0.0.1:")
    })
    .await;
    let log = world.gateway().log();
    assert!(!log.contains(&alice.token) && !log.contains("a@b.c"), "no token and no e-mail: {log}");
}

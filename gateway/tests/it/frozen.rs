//! A backend that is there and says nothing: a full disk, a stalled virtual machine, a network that swallows. Nobody waits
//! for it longer than the contract lets them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    client::{Client, Transport},
    load::Load,
    people::{Person, message},
    process::Settings,
    servers::Stack,
    world::{World, isolated_on},
};

/// What a person at a screen takes for "at once".
const QUICK: Duration = Duration::from_millis(500);

/// A gateway and a worker on servers of their own; somebody in a room.
async fn scene() -> (Stack, World, Person, String, Client) {
    let stack = Stack::start();
    let settings = isolated_on(&stack.servers, Settings::new()).await;
    let world = World::real_with(1, 1, settings.with("PRESENCE_LEASE_MS", 2_000));
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    (stack, world, alice, room, client)
}

/// Asks, and expects an answer within `limit`.
async fn ask_within(client: &mut Client, limit: Duration, event: &str, payload: &Value) -> Value {
    let started = Instant::now();
    let ack = client.ask(event, payload).await;
    assert!(started.elapsed() < limit, "{event} took {:?}", started.elapsed());
    ack
}

async fn say(client: &mut Client, room: &str, content: &str) {
    let ack = client.ask("sendMessage", &message(room, content)).await;
    assert_eq!(ack["status"], "ACCEPTED", "{content}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_frozen_messages_and_connections_are_as_quick_as_ever() {
    let (stack, world, alice, room, mut client) = scene().await;
    stack.freeze("redis");
    for n in 0..20 {
        let sent = message(&room, &n.to_string());
        let ack = ask_within(&mut client, QUICK, "sendMessage", &sent).await;
        assert_eq!(ack["status"], "ACCEPTED");
        assert_eq!(client.message().await["content"], n.to_string());
    }
    let started = Instant::now();
    let mut another = world.connect(Transport::WebSocket, &alice).await;
    assert!(started.elapsed() < QUICK, "connecting took {:?}", started.elapsed());
    let ack = ask_within(&mut another, QUICK, "heartbeat", &json!({})).await;
    assert_eq!(ack, json!({"success": true}));
    let path = format!("/users/{}/presence", alice.id);
    let started = Instant::now();
    assert_eq!(alice.get(world.gateway(), &path).await.status(), 503);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    stack.thaw("redis");
    crate::world::eventually("both sockets are online", Duration::from_secs(20), async || {
        let response = alice.get(world.gateway(), &path).await;
        let presence: Value = response.json().await.unwrap();
        presence["sockets"].as_array().is_some_and(|sockets| sockets.len() == 2)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_frozen_a_message_is_refused_within_ten_seconds_and_the_rest_works() {
    let (stack, world, alice, room, mut client) = scene().await;
    say(&mut client, &room, "before").await;
    assert_eq!(client.message().await["content"], "before");
    stack.freeze("kafka");
    let sent = message(&room, "frozen");
    let ack = ask_within(&mut client, Duration::from_secs(10), "sendMessage", &sent).await;
    let refused = json!({"clientMsgId": sent["clientMsgId"], "status": "FAILED", "error": "Message delivery failed"});
    assert_eq!(ack, refused);
    let ack = ask_within(&mut client, QUICK, "joinRoom", &json!({"roomId": room})).await;
    assert_eq!(ack, json!({"success": true}));
    stack.thaw("kafka");
    // The same message again, as the contract tells a client to do: there once, whatever came of the first.
    let started = Instant::now();
    while client.ask("sendMessage", &sent).await["status"] != "ACCEPTED" {
        assert!(started.elapsed() < Duration::from_mins(1), "Kafka did not come back");
    }
    say(&mut client, &room, "after").await;
    // The acks may have come before or after what was heard: the history tells.
    crate::world::eventually("stored once, in order", Duration::from_secs(30), async || {
        let path = format!("/rooms/{room}/messages");
        let page: Vec<Value> = alice.get(world.gateway(), &path).await.json().await.unwrap();
        let contents: Vec<_> = page.iter().map(|it| it["content"].clone()).collect();
        contents == [json!("before"), json!("frozen"), json!("after")]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_frozen_one_socket_cannot_fill_the_producers_queue() {
    const MAILBOX: usize = 5;
    let stack = Stack::start();
    let settings = isolated_on(&stack.servers, Settings::new()).await;
    let world = World::real_with(1, 1, settings.with("MAILBOX_EVENTS_MAX", MAILBOX));
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    say(&mut client, &room, "before").await;
    stack.freeze("kafka");
    let mut sent = Vec::new();
    // Slowly enough for the mailbox to be empty each time, if nothing held it up.
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    for n in 0..30 {
        pace.tick().await;
        sent.push(client.emit("sendMessage", &message(&room, &n.to_string())).await);
    }
    let acks = client.acks(&sent).await;
    let over = acks.iter().filter(|ack| ack["error"] == "Rate limit exceeded").count();
    // As many in flight, as many waiting, and one between the two.
    assert!(over >= 30 - 2 * MAILBOX - 1, "{over} were refused: {acks:?}");
    stack.thaw("kafka");
}

/// The broker's registration with its controller ends after 9 s: when it goes on, the cluster knows no broker for a moment,
/// and says so to clients that ask.
#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_frozen_for_long_everybody_finds_back_to_it() {
    let stack = Stack::start();
    let settings = isolated_on(&stack.servers, Settings::new()).await;
    // Asking all the time, so that somebody asks in that moment.
    let world = World::real_with(2, 2, settings.with("KAFKA_TOPIC_REFRESH_MS", 100));
    let load = Load::start(&world, 4, 4).await;
    load.hears_more(100).await;
    for _ in 0..2 {
        stack.freeze("kafka");
        tokio::time::sleep(Duration::from_secs(12)).await;
        stack.thaw("kafka");
        load.hears_more(400).await;
    }
    load.finish(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_postgres_frozen_what_needs_it_is_refused_in_time_and_nothing_is_lost() {
    let (stack, world, alice, room, mut client) = scene().await;
    say(&mut client, &room, "before").await;
    assert_eq!(client.message().await["content"], "before");
    stack.freeze("postgres");
    let limit = Duration::from_secs(10);
    let elsewhere = json!({"roomId": uuid::Uuid::new_v4()});
    let ack = ask_within(&mut client, limit, "joinRoom", &elsewhere).await;
    assert_eq!(ack, json!({"success": false, "error": "Temporarily unavailable"}));
    // Many of them at once do not wait for each other's time-outs.
    let started = Instant::now();
    let mut asked = Vec::new();
    for _ in 0..20 {
        asked.push(client.emit("joinRoom", &elsewhere).await);
    }
    for ack in client.acks(&asked).await {
        assert_eq!(ack, json!({"success": false, "error": "Temporarily unavailable"}));
    }
    assert!(started.elapsed() < limit, "twenty joins took {:?}", started.elapsed());
    let started = Instant::now();
    let response = alice.get(world.gateway(), "/rooms").await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert!(started.elapsed() < limit, "{:?}", started.elapsed());
    // The membership is known no more: who sends is refused in time, and retries.
    let sent = message(&room, "frozen");
    let ack = ask_within(&mut client, limit, "sendMessage", &sent).await;
    assert_eq!(ack["status"], "FAILED");
    stack.thaw("postgres");
    let started = Instant::now();
    while client.ask("sendMessage", &sent).await["status"] != "ACCEPTED" {
        assert!(started.elapsed() < Duration::from_secs(30), "Postgres did not come back");
    }
    assert_eq!(client.message().await["content"], "frozen");
}

//! Order and exactly once: from one socket to every receiver, over every transport and gateway.

use std::collections::HashSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::{Client, Transport},
    people::{Person, message},
    process::Settings,
    world::{Backends, World},
};

/// Messages that one socket fires at once.
const MESSAGES: usize = 10_000;

/// Receivers, spread over the gateways and both transports.
const RECEIVERS: usize = 20;

/// Reads `count` messages and checks that they are `0..count` in order.
async fn receive_all(mut client: Client, count: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        let message = client.message().await;
        assert_eq!(message["content"], n.to_string(), "message {n} is out of order");
        ids.push(message["messageId"].as_str().unwrap().to_owned());
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "ids rise in the order of delivery");
    ids
}

async fn ten_thousand_at_once(world: &World, sending: Transport) {
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut receivers = Vec::new();
    for n in 0..RECEIVERS {
        let gateway = &world.gateways[n % world.gateways.len()];
        let transport = if n < RECEIVERS / 2 { Transport::WebSocket } else { Transport::Polling };
        let mut client = Client::connect(gateway.address(), transport, &alice.token).await;
        client.join(&room).await;
        receivers.push(tokio::spawn(receive_all(client, MESSAGES)));
    }
    let mut sender = Client::connect(world.gateway().address(), sending, &alice.token).await;
    let packets: Vec<String> = (0..MESSAGES)
        .map(|n| format!("42{n}{}", json!(["sendMessage", message(&room, &n.to_string())])))
        .collect();
    sender.send_packets(&packets).await;
    for _ in 0..MESSAGES {
        let packet = sender.packet().await.unwrap();
        assert!(packet.contains(r#""status":"ACCEPTED""#), "{packet}");
    }
    let mut seen = HashSet::new();
    for receiver in receivers {
        seen.insert(receiver.await.unwrap());
    }
    assert_eq!(seen.len(), 1, "every receiver sees the same");
}

fn roomy() -> Settings {
    Settings::new().with("MAILBOX_EVENTS_MAX", MESSAGES + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_at_once_arrive_in_order_at_twenty_receivers_of_two_gateways() {
    let world = World::real(2, 2, roomy()).await;
    ten_thousand_at_once(&world, Transport::WebSocket).await;
    ten_thousand_at_once(&world, Transport::Polling).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_at_once_arrive_in_order_on_embedded_backends() {
    let world = World::with(Backends::Embedded, roomy()).await;
    ten_thousand_at_once(&world, Transport::WebSocket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_delivered_once_from_one_socket_two_sockets_and_two_gateways_at_once() {
    const RETRIES: usize = 8;
    let world = World::real(2, 2, Settings::new()).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut listener =
        Client::connect(world.gateways[1].address(), Transport::WebSocket, &alice.token).await;
    listener.join(&room).await;
    let mut senders = Vec::new();
    for n in 0..4 {
        let address = world.gateways[n % 2].address();
        senders.push(Client::connect(address, Transport::WebSocket, &alice.token).await);
    }
    for round in 0..50 {
        let id = Uuid::new_v4().to_string();
        let payload = |n: usize| {
            let spelled = if n.is_multiple_of(2) { id.to_uppercase() } else { id.clone() };
            json!({"roomId": room, "clientMsgId": spelled, "content": round.to_string()})
        };
        let sending = senders.iter_mut().enumerate().map(|(n, sender)| {
            let payloads: Vec<Value> = (0..RETRIES).map(|retry| payload(n + retry)).collect();
            async move {
                for payload in payloads {
                    assert_eq!(sender.ask("sendMessage", &payload).await["status"], "ACCEPTED");
                }
            }
        });
        futures_util::future::join_all(sending).await;
        let seen = listener.message().await;
        assert_eq!(seen["content"], round.to_string(), "delivered once, not {RETRIES} times");
        assert!(seen["clientMsgId"].as_str().unwrap().eq_ignore_ascii_case(&id));
    }
    assert!(listener.is_quiet_for(std::time::Duration::from_millis(300)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_leaves_hears_nothing_and_others_hear_on() {
    let world = World::real(2, 1, Settings::new()).await;
    let people = [Person::new(), Person::new()];
    let room = world.room_of(&people).await;
    let mut alice = world.connect(Transport::WebSocket, &people[0]).await;
    let mut bob =
        Client::connect(world.gateways[1].address(), Transport::WebSocket, &people[1].token).await;
    alice.join(&room).await;
    bob.join(&room).await;
    let left = bob.ask("leaveRoom", &json!({"roomId": room})).await;
    assert_eq!(left, json!({"success": true}));
    assert_eq!(alice.ask("sendMessage", &message(&room, "one")).await["status"], "ACCEPTED");
    assert_eq!(alice.message().await["content"], "one");
    bob.join(&room).await;
    assert_eq!(bob.ask("sendMessage", &message(&room, "two")).await["status"], "ACCEPTED");
    assert_eq!(bob.message().await["content"], "two", "not what came while it was out");
    assert_eq!(alice.message().await["content"], "two");
}

//! Clients that lose their gateway and come back to another: each message once, whatever was in flight.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    client::{Client, Transport},
    people::{Person, message},
    process::Settings,
    world::{Backends, World, eventually},
};

const MESSAGES: usize = 600;
const KILLS: usize = 5;

/// Messages without an ack at a time.
const IN_FLIGHT: usize = 20;

/// Sends `messages`, a window at a time, until all are accepted.
async fn send_all(client: &mut Client, messages: &[Value]) {
    for window in messages.chunks(IN_FLIGHT) {
        let mut acks = Vec::new();
        for message in window {
            acks.push(client.emit("sendMessage", message).await);
        }
        for (ack, message) in client.acks(&acks).await.into_iter().zip(window) {
            let accepted = json!({"clientMsgId": message["clientMsgId"], "status": "ACCEPTED"});
            assert_eq!(ack, accepted);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_across_killed_gateways_are_stored_and_heard_once_in_order() {
    let mut world = World::real(2, 1, Settings::new()).await;
    let people = [Person::new(), Person::new()];
    let room = world.room_of(&people).await;
    // The receiver's gateway stays.
    let address = world.gateways[0].address();
    let mut receiver = Client::connect(address, Transport::WebSocket, &people[1].token).await;
    receiver.join(&room).await;
    let messages: Vec<_> = (0..MESSAGES).map(|n| message(&room, &n.to_string())).collect();
    for (n, messages) in messages.chunks(MESSAGES / KILLS).enumerate() {
        let address = world.gateways.last().unwrap().address();
        let mut client = Client::connect(address, Transport::WebSocket, &people[0].token).await;
        send_all(&mut client, &messages[..messages.len() - IN_FLIGHT]).await;
        let last = &messages[messages.len() - IN_FLIGHT..];
        for message in last {
            client.emit("sendMessage", message).await;
        }
        // In flight when their gateway dies, at another moment each time; sent again to the next one.
        sleep(Duration::from_millis(n as u64)).await;
        world.gateways.last_mut().unwrap().kill();
        world.gateways.pop();
        world.add_gateway();
        let address = world.gateways.last().unwrap().address();
        let mut client = Client::connect(address, Transport::WebSocket, &people[0].token).await;
        send_all(&mut client, last).await;
    }
    for n in 0..MESSAGES {
        assert_eq!(receiver.message().await["content"], n.to_string());
    }
    assert!(receiver.is_quiet_for(Duration::from_secs(1)).await, "something came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_takes_a_thousand_sockets_off_within_its_budget() {
    let settings = Settings::new().with("DRAIN_CLOSE_MS", 1_000).with("DRAIN_LIMIT_MS", 13_000);
    let mut world = World::with(Backends::Embedded, settings).await;
    let people: Vec<_> = (0..20).map(|_| Person::new()).collect();
    let room = world.room_of(&people).await;
    let mut clients = Vec::new();
    for n in 0..1_000 {
        let transport = if n % 10 == 0 { Transport::Polling } else { Transport::WebSocket };
        clients.push(world.connect(transport, &people[n % people.len()]).await);
        if n % 3 == 0 {
            clients[n].join(&room).await;
        }
    }
    let sent = clients
        .iter_mut()
        .take(100)
        .map(async |client| client.emit("sendMessage", &message(&room, "last words")).await);
    let acks = join_all(sent).await;
    let started = tokio::time::Instant::now();
    world.gateways[0].signal("TERM");
    let ends = clients.into_iter().enumerate().map(async |(n, mut client)| {
        let mut acked = 0;
        while let Some(packet) = client.packet().await {
            assert!(!packet.starts_with("41"), "a drain closes transports, not namespaces");
            acked += usize::from(packet.starts_with("43"));
        }
        assert_eq!(acked, usize::from(n < acks.len()), "socket {n} had its ack");
    });
    join_all(ends).await;
    assert_eq!(world.gateways[0].wait().code(), Some(0), "{}", world.gateways[0].log());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    eventually("the port is closed", Duration::from_secs(1), async || {
        tokio::net::TcpStream::connect(world.gateways[0].address()).await.is_err()
    })
    .await;
}

//! Memberships across gateways: who leaves stops hearing within a second, who is back is never thrown out.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    client::{Client, Transport},
    people::{Person, message},
    process::Settings,
    world::{Backends, World, eventually},
};

/// A membership change is seen on every gateway within this (contract, section 2).
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// Rounds of the race between joining, leaving and joining again.
const ROUNDS: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_stops_hearing_and_speaking_on_every_gateway_within_a_second() {
    let world = World::real(2, 1, Settings::new()).await;
    let people = [Person::new(), Person::new()];
    let room = world.room_of(&people).await;
    let (mut alices, mut bobs) = (Vec::new(), Vec::new());
    for gateway in &world.gateways {
        let address = gateway.address();
        let mut alice = Client::connect(address, Transport::WebSocket, &people[0].token).await;
        alice.join(&room).await;
        alices.push(alice);
        for transport in [Transport::WebSocket, Transport::Polling] {
            let mut bob = Client::connect(address, transport, &people[1].token).await;
            bob.join(&room).await;
            // His membership is now remembered there.
            let ack = bob.ask("sendMessage", &message(&room, "before")).await;
            assert_eq!(ack["status"], "ACCEPTED");
            bobs.push(bob);
        }
    }
    people[1].leave_room(world.gateway(), &room).await;
    let left = Instant::now();
    let last = bobs.last_mut().unwrap();
    loop {
        let ack = last.ask("sendMessage", &message(&room, "after")).await;
        if ack["status"] == "FAILED" {
            assert_eq!(ack["error"], "Not a member of this room");
            break;
        }
        assert!(left.elapsed() < SEEN_WITHIN, "still allowed to speak");
    }
    tokio::time::sleep_until((left + SEEN_WITHIN).into()).await;
    let ack = alices[0].ask("sendMessage", &message(&room, "secret")).await;
    assert_eq!(ack["status"], "ACCEPTED");
    // Once she has heard it on a gateway, that gateway has delivered it to whoever it takes for a member.
    for alice in &mut alices {
        while alice.message().await["content"] != json!("secret") {}
    }
    for bob in &mut bobs {
        let ack = bob.ask("joinRoom", &json!({"roomId": room})).await;
        assert_eq!(ack, json!({"success": false, "error": "Not a member of this room"}));
        let heard = bob.heard();
        assert!(heard.iter().all(|message| message["content"] != json!("secret")), "{heard:?}");
    }
}

/// Asks to leave over a connection of its own and closes it a little later, as a page that is closed does.
async fn leave_and_vanish(world: &World, person: &Person, room: &str, later: Duration) {
    let mut stream = TcpStream::connect(world.gateway().address()).await.unwrap();
    let request = format!(
        "POST /rooms/{room}/leave HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 0\r\n\r\n",
        person.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(later).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_and_closes_the_connection_at_once_stops_hearing_all_the_same() {
    // Nothing but the gateway that serves the request tells of the change.
    let settings = Settings::new().with("OUTBOX_AGE_MS", 600_000).with("MEMBERSHIP_TTL_MS", 60_000);
    let world = World::with(Backends::Embedded, settings).await;
    let people = [Person::new(), Person::new()];
    let bob = &people[1];
    let mut socket = world.connect(Transport::WebSocket, bob).await;
    for round in 0..40 {
        let room = world.room_of(&people).await;
        socket.join(&room).await;
        // His membership is now remembered.
        let ack = socket.ask("sendMessage", &message(&room, "before")).await;
        assert_eq!(ack["status"], "ACCEPTED");
        leave_and_vanish(&world, bob, &room, Duration::from_micros(round * 100)).await;
        let path = format!("/rooms/{room}/members");
        eventually("he has left", Duration::from_secs(15), async || {
            let response = people[0].get(world.gateway(), &path).await;
            response.json::<Vec<Value>>().await.unwrap().len() == 1
        })
        .await;
        let left = Instant::now();
        while socket.ask("sendMessage", &message(&room, "after")).await["status"] != "FAILED" {
            assert!(left.elapsed() < SEEN_WITHIN, "round {round}: still allowed to speak");
        }
    }
}

async fn race(world: &World, on: usize) {
    let people = [Person::new(), Person::new()];
    let room = world.room_of(&people).await;
    let bob = &people[1];
    let mut alice = world.connect(Transport::WebSocket, &people[0]).await;
    let mut socket =
        Client::connect(world.gateways[on].address(), Transport::WebSocket, &bob.token).await;
    let path = format!("/rooms/{room}");
    for round in 0..ROUNDS {
        // He joins the Socket.IO room while he leaves, and in half of the rounds comes back.
        let is_back = round % 2 == 0;
        let membership = async {
            tokio::time::sleep(Duration::from_micros(round * 7_919 % 3_000)).await;
            bob.leave_room(world.gateway(), &room).await;
            if is_back {
                bob.join_room(world.gateway(), &room).await;
            }
        };
        let payload = json!({"roomId": room});
        let (ack, ()) = tokio::join!(socket.ask("joinRoom", &payload), membership);
        if is_back {
            // Whatever came first: he is a member, and once inside nobody throws him out.
            let again = socket.ask("joinRoom", &payload).await;
            assert_eq!(again, json!({"success": true}), "round {round}: {ack}");
        }
        let content = format!("round {round}");
        let sent = alice.ask("sendMessage", &message(&room, &content)).await;
        assert_eq!(sent["status"], "ACCEPTED");
        if is_back {
            while socket.message().await["content"] != json!(content) {}
        } else {
            bob.post(world.gateway(), &format!("{path}/join"), &json!({})).await;
            let left = socket.ask("leaveRoom", &payload).await;
            assert_eq!(left, json!({"success": true}));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_again_is_never_thrown_out_a_thousand_times() {
    let world = World::start(Backends::Embedded).await;
    race(&world, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_again_on_another_gateway_is_never_thrown_out_a_thousand_times() {
    let world = World::real(2, 1, Settings::new()).await;
    race(&world, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_never_left_in_the_room_a_thousand_times() {
    let world = World::real(2, 1, Settings::new()).await;
    let people = [Person::new(), Person::new()];
    let room = world.room_of(&people).await;
    let bob = &people[1];
    let mut alice = world.connect(Transport::WebSocket, &people[0]).await;
    let mut socket =
        Client::connect(world.gateways[1].address(), Transport::WebSocket, &bob.token).await;
    for round in 0..ROUNDS {
        let leaving = async {
            tokio::time::sleep(Duration::from_micros(round * 7_919 % 2_000)).await;
            bob.leave_room(world.gateway(), &room).await;
        };
        let payload = json!({"roomId": room});
        tokio::join!(socket.ask("joinRoom", &payload), leaving);
        // Every hundredth time waits for what must not come; each time what came before is looked at.
        if round % 100 == 99 {
            tokio::time::sleep(SEEN_WITHIN).await;
            let ack = alice.ask("sendMessage", &message(&room, "secret")).await;
            assert_eq!(ack["status"], "ACCEPTED");
            let heard = tokio::time::timeout(Duration::from_millis(300), socket.message()).await;
            assert!(heard.is_err(), "round {round}: a removed member heard {heard:?}");
        }
        bob.join_room(world.gateway(), &room).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateways_sockets_stop_counting_when_its_lease_ends() {
    let settings = Settings::new().with("PRESENCE_LEASE_MS", 1_600);
    let mut world = World::real(2, 1, settings).await;
    let (alice, bob) = (Person::new(), Person::new());
    let _laptop =
        Client::connect(world.gateways[0].address(), Transport::WebSocket, &alice.token).await;
    let phone =
        Client::connect(world.gateways[1].address(), Transport::WebSocket, &alice.token).await;
    let lonely =
        Client::connect(world.gateways[1].address(), Transport::WebSocket, &bob.token).await;
    let sockets = async |person: &Person| -> Vec<Value> {
        let path = format!("/users/{}/presence", person.id);
        let response = alice.get(world.gateway(), &path).await;
        let presence: Value = response.json().await.unwrap();
        let sockets = presence["sockets"].as_array().unwrap().clone();
        assert_eq!(presence["online"], json!(!sockets.is_empty()));
        sockets
    };
    let limit = Duration::from_secs(10);
    eventually("alice on two sockets", limit, async || sockets(&alice).await.len() == 2).await;
    eventually("bob on one", limit, async || sockets(&bob).await.len() == 1).await;
    let mut killed = {
        let mut gateways = std::mem::take(&mut world.gateways);
        let killed = gateways.remove(1);
        world.gateways = gateways;
        killed
    };
    killed.kill();
    let sockets = async |person: &Person| -> usize {
        let path = format!("/users/{}/presence", person.id);
        let response = alice.get(world.gateway(), &path).await;
        let presence: Value = response.json().await.unwrap();
        presence["sockets"].as_array().unwrap().len()
    };
    eventually("the dead gateway's sockets gone", limit, async || {
        sockets(&alice).await == 1 && sockets(&bob).await == 0
    })
    .await;
    drop((phone, lonely));
}

//! Contract, section 1: every event, every ack, every error string, literally.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::{Client, Transport},
    people::{Person, message},
    process::Settings,
    world::{Backends, World},
};

const ELSEWHERE: &str = "0b6f1f4e-5a57-4d0c-9a4f-2f1f6c1f0a11";

/// Every event that clients send, good and bad, and its ack, byte for byte.
const ACKS: &str = include_str!("../../../fixtures/wire/acks.json");

/// A row of the file. `${...}` stands for what differs from run to run or is too long to write down.
#[derive(serde::Deserialize)]
struct Row {
    from: String,
    event: String,
    ack: String,
}

/// The raw ack packet of an event that is sent as raw JSON.
async fn raw_ack(client: &mut Client, event_and_payload: &str) -> String {
    client.send_packet(&format!("42777{event_and_payload}")).await;
    loop {
        let packet = client.packet().await.expect("an ack before the transport closes");
        if packet.starts_with("43777") {
            return packet;
        }
    }
}

async fn every_row_of_the_tables(backends: Backends, transport: Transport) {
    let world = World::start(backends).await;
    let (alice, mallory) = (Person::new(), Person::new());
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut member = world.connect(transport, &alice).await;
    let mut stranger = world.connect(transport, &mallory).await;
    let fill = |text: &str| {
        text.replace("${room}", &room)
            .replace("${ROOM}", &room.to_uppercase())
            .replace("${id}", "7C9E6679-7425-40DE-944B-E07FC1F90AE7")
            .replace("${elsewhere}", ELSEWHERE)
            .replace("${long}", &"x".repeat(5_001))
            .replace("${astral}", &"👍".repeat(2_501))
            .replace("${deep}", &("[".repeat(40_000) + &"]".repeat(40_000)))
    };
    for Row { from, event, ack } in serde_json::from_str::<Vec<Row>>(ACKS).unwrap() {
        let client = if from == "member" { &mut member } else { &mut stranger };
        let seen = raw_ack(client, &fill(&event)).await;
        assert_eq!(seen, format!("43777[{}]", fill(&ack)), "{transport:?} {event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_over_websocket_on_real_servers() {
    every_row_of_the_tables(Backends::Real, Transport::WebSocket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_over_polling_on_real_servers() {
    every_row_of_the_tables(Backends::Real, Transport::Polling).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_after_an_upgrade_on_real_servers() {
    every_row_of_the_tables(Backends::Real, Transport::Upgrade).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_on_embedded_backends() {
    for transport in [Transport::WebSocket, Transport::Polling, Transport::Upgrade] {
        every_row_of_the_tables(Backends::Embedded, transport).await;
    }
}

async fn a_message_has_exactly_seven_fields(backends: Backends) {
    let world = World::start(backends).await;
    let people = [Person::new(), Person::new()];
    let room = world.room_of(&people).await;
    let mut alice = world.connect(Transport::WebSocket, &people[0]).await;
    let mut bob = world.connect(Transport::Polling, &people[1]).await;
    alice.join(&room).await;
    bob.join(&room).await;
    let id = Uuid::new_v4().to_string().to_uppercase();
    let sent = json!({
        "roomId": room.to_uppercase(), "clientMsgId": id, "type": "IMAGE",
        "content": " a \"quote\" \u{2028} 👍 \\ ", "senderId": ELSEWHERE,
    });
    assert_eq!(alice.ask("sendMessage", &sent).await["status"], "ACCEPTED");
    let (seen, own) = (bob.message().await, alice.message().await);
    assert_eq!(seen, own, "the sender's sockets are included");
    let message_id = seen["messageId"].as_str().unwrap();
    assert_eq!(Uuid::parse_str(message_id).unwrap().get_version_num(), 7);
    let created_at = seen["createdAt"].as_str().unwrap();
    assert!(created_at.len() == 24 && created_at.ends_with('Z'), "{created_at}");
    let expect = json!({
        "messageId": message_id, "roomId": room, "senderId": people[0].id, "clientMsgId": id,
        "type": "IMAGE", "content": sent["content"], "createdAt": created_at,
    });
    assert_eq!(seen, expect);
    let history = people[1].get(world.gateway(), &format!("/rooms/{room}/messages")).await;
    assert_eq!(history.json::<Value>().await.unwrap(), json!([expect]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_exactly_seven_fields_on_real_servers() {
    a_message_has_exactly_seven_fields(Backends::Real).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_exactly_seven_fields_on_embedded_backends() {
    a_message_has_exactly_seven_fields(Backends::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_accepted_each_time_and_delivered_once_as_first_spelled() {
    let world = World::start(Backends::Embedded).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    let mut first = message(&room, "once");
    let id = first["clientMsgId"].as_str().unwrap().to_uppercase();
    first["clientMsgId"] = json!(id);
    let mut again = first.clone();
    again["clientMsgId"] = json!(id.to_lowercase());
    again["content"] = json!("a retry that changed its mind");
    assert_eq!(
        client.ask("sendMessage", &first).await,
        json!({"clientMsgId": id, "status": "ACCEPTED"})
    );
    assert_eq!(
        client.ask("sendMessage", &again).await,
        json!({"clientMsgId": id.to_lowercase(), "status": "ACCEPTED"})
    );
    assert_eq!(client.ask("sendMessage", &message(&room, "next")).await["status"], "ACCEPTED");
    let messages = world_history(&world, &alice, &room, 2).await;
    assert_eq!(messages[0]["content"], "once");
    assert_eq!(messages[0]["clientMsgId"], json!(id));
    assert_eq!(messages[1]["content"], "next");
}

async fn world_history(world: &World, person: &Person, room: &str, count: usize) -> Vec<Value> {
    let path = format!("/rooms/{room}/messages");
    let read =
        async || person.get(world.gateway(), &path).await.json::<Vec<Value>>().await.unwrap();
    crate::world::eventually("the history", Duration::from_secs(10), async || {
        read().await.len() >= count
    })
    .await;
    let messages = read().await;
    assert_eq!(messages.len(), count);
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_over_the_mailbox_bound_is_refused_in_its_ack() {
    let settings = Settings::new().with("MAILBOX_EVENTS_MAX", 1).with("MEMBERSHIP_TTL_MS", 0);
    let world = World::with(Backends::Embedded, settings).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    let packets: Vec<String> = (0..500)
        .map(|id| format!("42{id}{}", json!(["sendMessage", message(&room, "hi")])))
        .collect();
    client.send_packets(&packets).await;
    let mut refused = 0;
    for _ in 0..packets.len() {
        let packet = client.packet().await.unwrap();
        assert!(packet.starts_with("43"), "{packet}");
        if packet.contains(r#""status":"FAILED","error":"Rate limit exceeded"}"#) {
            refused += 1;
        } else {
            assert!(packet.contains(r#""status":"ACCEPTED"}"#), "{packet}");
        }
    }
    assert!(refused > 0, "500 at once never found the mailbox full");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_events_are_ignored_however_their_names_are_spelled() {
    let world = World::start(Backends::Embedded).await;
    let alice = Person::new();
    for transport in [Transport::WebSocket, Transport::Polling, Transport::Upgrade] {
        let mut client = world.connect(transport, &alice).await;
        for event in [
            r#"42["say \"hi\"",1]"#,
            r#"427["h\u00e9llo",{"a":"\n"}]"#,
            r#"42["a\\"]"#,
            r#"42["\u0073endMessage",{}]"#,
            r#"42["héllo"]"#,
        ] {
            client.send_packet(event).await;
            assert_eq!(
                client.ask("heartbeat", &json!({})).await,
                json!({"success": true}),
                "{event}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_events_and_events_without_an_ack_are_not_answered() {
    let world = World::start(Backends::Embedded).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.send_packet(r#"421["deleteEverything",{}]"#).await;
    client.send_packet(&format!(r#"42["joinRoom",{{"roomId":"{room}"}}]"#)).await;
    client.send_packet(r#"42["sendMessage",{"roomId":7}]"#).await;
    client.send_packet(&format!("42{}", json!(["sendMessage", message(&room, "no ack")]))).await;
    assert_eq!(client.message().await["content"], "no ack");
    assert!(client.is_quiet_for(Duration::from_millis(100)).await);
}

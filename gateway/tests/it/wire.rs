//! One short story on the wire, packet by packet, over each transport, as a snapshot to review.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::{Client, Transport},
    people::Person,
    world::{Backends, World},
};

/// Packets as they went, with names in place of what differs from run to run.
struct Transcript {
    client: Client,
    names: Vec<(String, &'static str)>,
    lines: Vec<String>,
}

impl Transcript {
    fn note(&mut self, arrow: &str, packet: &str) {
        let mut shown = packet.to_owned();
        for (text, name) in &self.names {
            shown = shown.replace(text, name);
        }
        self.lines.push(format!("{arrow} {shown}"));
    }

    async fn send(&mut self, packet: &str) {
        self.note("client:", packet);
        self.client.send_packet(packet).await;
    }

    async fn receive(&mut self) {
        let packet = self.client.packet().await.unwrap();
        self.received(&packet);
    }

    /// An ack and a message, whichever comes first: the contract does not say.
    async fn receive_ack_and_message(&mut self) {
        let mut packets =
            [self.client.packet().await.unwrap(), self.client.packet().await.unwrap()];
        packets.sort_by_key(|packet| packet.starts_with("42"));
        for packet in &packets {
            self.received(packet);
        }
    }

    fn received(&mut self, packet: &str) {
        if let Some(event) = packet.strip_prefix("42") {
            let event: Value = serde_json::from_str(event).unwrap();
            for (field, name) in [("messageId", "MESSAGE"), ("createdAt", "TIME")] {
                self.names.push((event[1][field].as_str().unwrap().to_owned(), name));
            }
        }
        if let Some(hello) = packet.strip_prefix("40") {
            let hello: Value = serde_json::from_str(hello).unwrap();
            self.names.push((hello["sid"].as_str().unwrap().to_owned(), "SID"));
        }
        self.note("server:", packet);
    }
}

async fn story(transport: Transport) -> String {
    let world = World::start(Backends::Real).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let client = Client::open(world.gateway().address(), transport, None).await;
    let id = Uuid::new_v4().to_string().to_uppercase();
    let names = vec![
        (alice.token.clone(), "TOKEN"),
        (alice.id.clone(), "ALICE"),
        (room.clone(), "ROOM"),
        (id.clone(), "CLIENT-MSG-ID"),
    ];
    let mut story = Transcript { client, names, lines: Vec::new() };
    story.send(&format!("40{}", json!({"token": alice.token}))).await;
    story.receive().await;
    story.send(&format!(r#"420["joinRoom",{{"roomId":"{room}"}}]"#)).await;
    story.receive().await;
    let payload = format!(r#"{{"roomId":"{room}","clientMsgId":"{id}","content":"hi 👍"}}"#);
    story.send(&format!(r#"421["sendMessage",{payload}]"#)).await;
    story.receive_ack_and_message().await;
    story.send(&format!(r#"422["sendMessage",{payload}]"#)).await;
    story.receive().await;
    story.send(r#"423["sendMessage",{"clientMsgId":"x"}]"#).await;
    story.receive().await;
    story.send(r#"424["heartbeat",{}]"#).await;
    story.receive().await;
    story.send(&format!(r#"425["leaveRoom",{{"roomId":"{room}"}}]"#)).await;
    story.receive().await;
    story.lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_story_over_each_transport() {
    for transport in [Transport::WebSocket, Transport::Polling, Transport::Upgrade] {
        insta::assert_snapshot!("story", story(transport).await);
    }
}

//! Long-polling through the proxy: bodies are taken apart into packets and put together again.

use std::sync::Arc;

use hyper::Method;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    gate::{Gate, Socket},
    packets::{Out, SEPARATOR},
    proxy::{Asked, Reply, hand_on},
};

/// A packet that says nothing, for a poll of which nothing is left.
const NOTHING: &str = "6";

pub(crate) async fn answer(gate: &Arc<Gate>, mut asked: Asked) -> Reply {
    let socket = asked.value("sid").and_then(|id| gate.session(id));
    let Some(socket) = socket else { return open(gate, &asked).await };
    if asked.method != Method::POST {
        let reply = hand_on(gate, &asked).await;
        return heard(gate, &socket, reply);
    }
    let body = String::from_utf8_lossy(&asked.body).into_owned();
    let mut packets = Vec::new();
    for packet in body.split(SEPARATOR) {
        for out in gate.up(&socket, packet.to_owned()) {
            match out {
                Out::Up(packet) => packets.push(packet),
                Out::UpLater(after, packet) => {
                    let (gate, asked) =
                        (Arc::clone(gate), Asked { body: packet.into_bytes(), ..asked.clone() });
                    // Ends with its one request.
                    tokio::spawn(async move {
                        sleep(after).await;
                        drop(hand_on(&gate, &asked).await);
                    });
                }
                Out::Down(packet) => socket.push(packet),
                Out::DownLater(after, packet) => later(&socket, after, packet),
                Out::Close => packets.push("1".to_owned()),
            }
        }
    }
    if packets.is_empty() {
        packets.push(NOTHING.to_owned());
    }
    asked.body = join(&packets);
    hand_on(gate, &asked).await
}

async fn open(gate: &Gate, asked: &Asked) -> Reply {
    let reply = hand_on(gate, asked).await;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let open = text.split(SEPARATOR).next().and_then(|open| open.strip_prefix('0'));
    let open: Value = open.and_then(|open| serde_json::from_str(open).ok()).unwrap_or_default();
    if let Some(session) = open["sid"].as_str() {
        gate.call(&gate.open(asked.authorization()), session);
    }
    reply
}

fn heard(gate: &Gate, socket: &Arc<Socket>, reply: Reply) -> Reply {
    if reply.status != 200 {
        gate.close(socket);
        return reply;
    }
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    let mut packets = std::mem::take(&mut socket.known().outbox);
    for packet in body.split(SEPARATOR) {
        if packet == "1" {
            gate.close(socket);
        }
        for out in gate.down(socket, packet.to_owned()) {
            match out {
                Out::Down(packet) => packets.push(packet),
                Out::DownLater(after, packet) => later(socket, after, packet),
                Out::Close => packets.push("1".to_owned()),
                // Nothing here answers the gateway in a device's name.
                Out::Up(_) | Out::UpLater(..) => {}
            }
        }
    }
    if packets.is_empty() {
        packets.push(NOTHING.to_owned());
    }
    Reply { body: join(&packets), ..reply }
}

fn later(socket: &Arc<Socket>, after: std::time::Duration, packet: String) {
    let socket = Arc::clone(socket);
    // Ends with its one packet.
    tokio::spawn(async move {
        sleep(after).await;
        socket.push(packet);
    });
}

fn join(packets: &[String]) -> Vec<u8> {
    packets.join(&SEPARATOR.to_string()).into_bytes()
}

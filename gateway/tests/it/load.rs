//! People who keep talking while something breaks, and the check of what everybody heard.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::interval};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Client, Transport},
    people::{Person, contents, message},
    world::{World, eventually},
};

/// Messages that each sender sends in a second.
const RATE: u64 = 100;

/// How long what was accepted may take to be heard once all is well again.
const SETTLE: Duration = Duration::from_mins(1);

/// Silence after which nothing more is expected.
const QUIET: Duration = Duration::from_millis(500);

/// What one sender was told, by the content of the message, in the order of sending.
#[derive(Debug, Default)]
struct Told {
    accepted: Vec<String>,
    refused: HashSet<String>,
}

/// Everything that one receiver heard, as it came.
type Heard = Arc<Mutex<Vec<Value>>>;

/// A running load on one room.
pub(crate) struct Load {
    pub(crate) room: String,
    reader: Person,
    stop: CancellationToken,
    senders: Vec<JoinHandle<Told>>,
    heard: Vec<Heard>,
    receivers: Vec<JoinHandle<()>>,
}

impl Load {
    /// `senders` and `receivers`, spread over the gateways of `world`.
    pub(crate) async fn start(world: &World, senders: usize, receivers: usize) -> Self {
        let reader = Person::new();
        let room = reader.create_room(world.gateway()).await;
        let stop = CancellationToken::new();
        let mut load = Self {
            room: room.clone(),
            reader: reader.clone(),
            stop,
            senders: Vec::new(),
            heard: Vec::new(),
            receivers: Vec::new(),
        };
        let address = |n: usize| world.gateways[n % world.gateways.len()].address();
        for n in 0..receivers {
            let transport = if n % 3 == 2 { Transport::Polling } else { Transport::WebSocket };
            let mut client = Client::connect(address(n), transport, &reader.token).await;
            client.join(&room).await;
            let heard = Heard::default();
            load.heard.push(Arc::clone(&heard));
            load.receivers.push(tokio::spawn(receive(client, heard)));
        }
        for n in 0..senders {
            let sender = Person::new();
            sender.join_room(world.gateway(), &room).await;
            let sending = send(address(n), sender, room.clone(), n, load.stop.clone());
            load.senders.push(tokio::spawn(sending));
        }
        load
    }

    /// How many messages the first receiver has heard.
    pub(crate) fn heard(&self) -> usize {
        self.heard[0].lock().unwrap().len()
    }

    /// Waits until `more` messages have been heard: the load gets through.
    pub(crate) async fn hears_more(&self, more: usize) {
        let goal = self.heard() + more;
        eventually("the load gets through", SETTLE, async || self.heard() >= goal).await;
    }

    /// Stops sending, waits for the acks, and checks everything. Returns how many were accepted and refused.
    pub(crate) async fn finish(self, world: &World) -> (usize, usize) {
        self.stop.cancel();
        let mut told = Vec::new();
        for sender in self.senders {
            told.push(sender.await.unwrap());
        }
        let accepted: HashSet<_> = told.iter().flat_map(|told| told.accepted.clone()).collect();
        let refused: HashSet<_> = told.iter().flat_map(|told| told.refused.clone()).collect();
        for heard in &self.heard {
            let contents = || contents(&heard.lock().unwrap());
            eventually("everything accepted is heard", SETTLE, async || {
                let contents: HashSet<_> = contents().into_iter().collect();
                accepted.is_subset(&contents)
            })
            .await;
            tokio::time::sleep(QUIET).await; // What comes twice comes soon.
            check(&contents(), &accepted, &refused);
        }
        let history = self.reader.history(world.gateway(), &self.room).await;
        for heard in &self.heard {
            assert_eq!(*heard.lock().unwrap(), history, "heard is what is stored, in that order");
        }
        for receiver in self.receivers {
            receiver.abort();
        }
        (accepted.len(), refused.len())
    }
}

/// Nothing accepted is missing, nothing is there twice or from nowhere, and each sender's order is kept.
fn check(contents: &[String], accepted: &HashSet<String>, refused: &HashSet<String>) {
    let mut seen = HashSet::new();
    let mut newest = HashMap::new();
    for content in contents {
        assert!(seen.insert(content.clone()), "{content} was heard twice");
        assert!(accepted.contains(content) || refused.contains(content), "{content} from nowhere");
        let (sender, n) = content.split_once(' ').unwrap();
        let n: u64 = n.parse().unwrap();
        let before = newest.insert(sender.to_owned(), n);
        assert!(before < Some(n), "{content} came after {before:?}");
    }
    let missing: Vec<_> = accepted.difference(&seen).collect();
    assert!(missing.is_empty(), "accepted and never heard: {missing:?}");
}

async fn receive(mut client: Client, heard: Heard) {
    loop {
        let message = client.message_without_limit().await;
        heard.lock().unwrap().push(message);
    }
}

/// Sends until told to stop, then waits for the last ack. The socket must stay.
async fn send(
    address: SocketAddr,
    sender: Person,
    room: String,
    number: usize,
    stop: CancellationToken,
) -> Told {
    let mut client = Client::connect(address, Transport::WebSocket, &sender.token).await;
    let mut told = Told::default();
    let mut waiting = HashMap::new();
    let mut tick = interval(Duration::from_millis(1_000 / RATE));
    for n in 0.. {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = tick.tick() => {}
        }
        let content = format!("{number} {n}");
        let id = client.emit("sendMessage", &message(&room, &content)).await;
        waiting.insert(id, content);
        while let Some(packet) = client.packet_at_hand().await {
            note(&packet, &mut waiting, &mut told);
        }
    }
    while !waiting.is_empty() {
        let packet = client.packet().await.expect("the socket stays");
        note(&packet, &mut waiting, &mut told);
    }
    told
}

fn note(packet: &str, waiting: &mut HashMap<u64, String>, told: &mut Told) {
    let (id, body) = packet.strip_prefix("43").and_then(|ack| ack.split_once('[')).unwrap();
    let content = waiting.remove(&id.parse().unwrap()).expect("one ack for each event");
    let body: Value = serde_json::from_str(body.strip_suffix(']').unwrap()).unwrap();
    if body["status"] == "ACCEPTED" {
        told.accepted.push(content);
    } else {
        let failed = json!({"clientMsgId": body["clientMsgId"], "status": "FAILED", "error": "Message delivery failed"});
        assert_eq!(body, failed);
        told.refused.insert(content);
    }
}

//! What a saboteur knows: the sockets in front of it, what each has asked and heard. Mutants look here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    mutants::{Fault, Mutant},
    packets::{Ack, Event, Message, Out},
};

/// Packets that wait for a device or a gateway.
pub(crate) const QUEUE_PACKETS_MAX: usize = 4_096;

/// A setting of the gateway; empty without.
#[expect(
    clippy::disallowed_methods,
    reason = "a saboteur is called like the gateway, and this is its `config`"
)]
pub(crate) fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// One saboteur.
pub(crate) struct Gate {
    pub(crate) mutant: &'static Mutant,
    pub(crate) behind: SocketAddr,
    pub(crate) http: reqwest::Client,
    sockets: Mutex<BTreeMap<u64, Arc<Socket>>>,
    sessions: Mutex<HashMap<String, Arc<Socket>>>,
    numbers: AtomicU64,
    count: AtomicU64,
    began: Instant,
    /// For mutants that remember something.
    pub(crate) memory: Mutex<BTreeMap<String, Value>>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate of {}", self.mutant.name)
    }
}

impl Gate {
    pub(crate) fn new(mutant: &'static Mutant, behind: SocketAddr) -> Self {
        // No connection is used twice: the gateway may close it in the same moment.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build();
        Self {
            mutant,
            behind,
            http: http.expect("no setting can be wrong"),
            sockets: Mutex::default(),
            sessions: Mutex::default(),
            numbers: AtomicU64::new(0),
            count: AtomicU64::new(0),
            began: Instant::now(),
            memory: Mutex::default(),
        }
    }

    /// 1, 2, 3, ...
    pub(crate) fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Since it began, in milliseconds.
    pub(crate) fn age_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Remembers something; what was remembered under this key before.
    pub(crate) fn remember(
        &self,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Option<Value> {
        lock(&self.memory).insert(key.into(), value.into())
    }

    pub(crate) fn recall(&self, key: &str) -> Option<Value> {
        lock(&self.memory).get(key).cloned()
    }

    /// A new session; `id` is that of Engine.IO.
    pub(crate) fn open(&self, authorization: Option<&str>) -> Arc<Socket> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let user = authorization.and_then(user_of);
        let socket =
            Arc::new(Socket { number, known: Mutex::new(Known { user, ..Known::default() }) });
        lock(&self.sockets).insert(number, Arc::clone(&socket));
        socket
    }

    pub(crate) fn call(&self, socket: &Arc<Socket>, session: &str) {
        lock(&self.sessions).insert(session.to_owned(), Arc::clone(socket));
    }

    pub(crate) fn session(&self, id: &str) -> Option<Arc<Socket>> {
        lock(&self.sessions).get(id).cloned()
    }

    pub(crate) fn close(&self, socket: &Socket) {
        socket.known().is_closed = true;
        lock(&self.sockets).remove(&socket.number);
    }

    /// Those that are connected.
    pub(crate) fn sockets(&self) -> Vec<Arc<Socket>> {
        lock(&self.sockets).values().cloned().collect()
    }

    /// Every user that has ever been here.
    pub(crate) fn users(&self) -> BTreeSet<String> {
        let sessions = lock(&self.sessions).values().cloned().collect::<Vec<_>>();
        sessions.into_iter().filter_map(|socket| socket.user()).collect()
    }

    /// What becomes of a packet of a device.
    pub(crate) fn up(&self, socket: &Socket, packet: String) -> Vec<Out> {
        if let Some(auth) = packet.strip_prefix("40")
            && let Ok(auth) = serde_json::from_str::<Value>(auth)
            && let Some(user) = auth["token"].as_str().and_then(user_of)
        {
            socket.known().user = Some(user);
        }
        let event = Event::read(&packet);
        if let Some(event) = &event {
            let mut known = socket.known();
            known.events += 1;
            if let Some(id) = event.ack_id {
                known.asked.insert(id, event.clone());
            }
        }
        for fault in self.mutant.faults {
            match (fault, &event) {
                (Fault::Event(change), Some(event)) => return change(self, socket, event.clone()),
                (Fault::Up(change), _) => return change(self, socket, packet),
                _ => {}
            }
        }
        vec![Out::Up(packet)]
    }

    /// What becomes of a packet of the gateway.
    pub(crate) fn down(&self, socket: &Socket, packet: String) -> Vec<Out> {
        let message = Message::read(&packet);
        let ack = Ack::read(&packet).and_then(|(id, body)| {
            let event = socket.known().asked.get(&id).cloned()?;
            Some(Ack { id, body, event })
        });
        if let Some(hello) = packet.strip_prefix("40") {
            let hello: Value = serde_json::from_str(hello).unwrap_or_default();
            socket.known().id = hello["sid"].as_str().map(str::to_owned);
        }
        if let Some(ack) = &ack {
            socket.answered(ack);
        }
        if let Some(message) = &message {
            socket.known().heard.insert(message.text("messageId").to_owned());
        }
        for fault in self.mutant.faults {
            match (fault, &message, &ack) {
                (Fault::Delivery(change), Some(message), _) => {
                    return change(self, socket, message.clone());
                }
                (Fault::Ack(change), _, Some(ack)) => return change(self, socket, ack.clone()),
                (Fault::Down(change), ..) => return change(self, socket, packet),
                _ => {}
            }
        }
        vec![Out::Down(packet)]
    }
}

/// A session of a device.
pub(crate) struct Socket {
    pub(crate) number: u64,
    known: Mutex<Known>,
}

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) user: Option<String>,
    /// Of Socket.IO.
    pub(crate) id: Option<String>,
    /// Those that it has joined and not left.
    pub(crate) rooms: BTreeSet<String>,
    /// Those that it has ever joined.
    pub(crate) all_rooms: BTreeSet<String>,
    pub(crate) asked: HashMap<u64, Event>,
    pub(crate) heard: BTreeSet<String>,
    pub(crate) held: Option<String>,
    pub(crate) events: usize,
    pub(crate) is_closed: bool,
    pub(crate) is_upgrading: bool,
    /// To the device, and to the gateway, of a WebSocket.
    pub(crate) pipes: Option<(mpsc::Sender<String>, mpsc::Sender<String>)>,
    /// For the next poll.
    pub(crate) outbox: Vec<String>,
}

impl Socket {
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    pub(crate) fn user(&self) -> Option<String> {
        self.known().user.clone()
    }

    /// Whether it is not, or not yet, a WebSocket.
    pub(crate) fn polls(&self) -> bool {
        self.known().pipes.is_none()
    }

    /// Sends a packet to the device out of turn.
    pub(crate) fn push(&self, packet: String) {
        let mut known = self.known();
        match &known.pipes {
            // A full pipe or a gone device: one more fault.
            Some((down, _)) => drop(down.try_send(packet)),
            None => known.outbox.push(packet),
        }
    }

    fn answered(&self, ack: &Ack) {
        let room = ack.event.text("roomId").to_lowercase();
        let mut known = self.known();
        match (ack.event.name.as_str(), ack.body == json!({"success": true})) {
            ("joinRoom", true) => {
                known.rooms.insert(room.clone());
                known.all_rooms.insert(room);
            }
            ("leaveRoom", true) => {
                known.rooms.remove(&room);
            }
            _ => {}
        }
    }
}

/// The user of a good token.
pub(crate) fn user_of(token: &str) -> Option<String> {
    let token = token.split_once(' ').map_or(token, |(_, token)| token);
    let key = jsonwebtoken::DecodingKey::from_secret(setting("JWT_SECRET").as_bytes());
    let claims = jsonwebtoken::decode::<Value>(token, &key, &jsonwebtoken::Validation::default());
    claims.ok()?.claims["sub"].as_str().map(str::to_lowercase)
}

/// A good token of this user.
pub(crate) fn token_of(user: &str) -> String {
    harness::deploy::Signer::new(setting("JWT_SECRET")).good(user)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

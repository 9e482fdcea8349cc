//! A Socket.IO client that hides nothing: every packet as it is on the wire, over both transports.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

/// How long anything that must come may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// How a [`Client`] talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Polling,
    /// Polling first, then upgraded.
    Upgrade,
}

enum Wire {
    WebSocket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Polling { http: reqwest::Client, url: String, waiting: Vec<String> },
    Closed,
}

/// One connection. Answers pings by itself unless told not to.
pub(crate) struct Client {
    wire: Wire,
    /// The session's id, from the open packet.
    pub(crate) sid: String,
    /// `socket.id`, once connected.
    pub(crate) socket_id: String,
    pub(crate) answers_pings: bool,
    next_ack: u64,
    /// Messages that came while an ack was waited for: they may come before the sender's ack.
    kept: VecDeque<Value>,
}

impl Client {
    /// Opens a transport; no CONNECT packet yet. `authorization`: the header, if any.
    pub(crate) async fn open(
        address: SocketAddr,
        transport: Transport,
        authorization: Option<&str>,
    ) -> Self {
        match transport {
            Transport::WebSocket => Self::open_websocket(address, authorization).await,
            Transport::Polling => Self::open_polling(address, authorization).await,
            Transport::Upgrade => {
                let mut client = Self::open_polling(address, authorization).await;
                client.upgrade(address).await;
                client
            }
        }
    }

    /// Opens a transport and connects to `/` with `auth.token`; returns when the server has said `40`.
    pub(crate) async fn connect(address: SocketAddr, transport: Transport, token: &str) -> Self {
        let mut client = Self::open(address, transport, None).await;
        client.send_packet(&format!("40{}", json!({"token": token}))).await;
        let packet = client.packet().await.unwrap();
        let hello: Value = serde_json::from_str(packet.strip_prefix("40").unwrap()).unwrap();
        hello["sid"].as_str().expect(&packet).clone_into(&mut client.socket_id);
        client
    }

    async fn open_websocket(address: SocketAddr, authorization: Option<&str>) -> Self {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let mut request = url.into_client_request().unwrap();
        if let Some(value) = authorization {
            request.headers_mut().insert("authorization", value.parse().unwrap());
        }
        let (mut stream, _) = connect_async(request).await.unwrap();
        let open = text(stream.next().await).unwrap();
        let wire = Wire::WebSocket(Box::new(stream));
        Self::on(wire, sid_of(&open))
    }

    async fn open_polling(address: SocketAddr, authorization: Option<&str>) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = format!("http://{address}/socket.io/?EIO=4&transport=polling");
        let mut request = http.get(&base);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let open = request.send().await.unwrap().text().await.unwrap();
        let sid = sid_of(&open);
        let wire = Wire::Polling { http, url: format!("{base}&sid={sid}"), waiting: Vec::new() };
        Self::on(wire, sid)
    }

    fn on(wire: Wire, sid: String) -> Self {
        let (socket_id, kept) = (String::new(), VecDeque::new());
        Self { wire, sid, socket_id, answers_pings: true, next_ack: 0, kept }
    }

    /// Probes and upgrades a polling session to WebSocket, as the stock client does.
    pub(crate) async fn upgrade(&mut self, address: SocketAddr) {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket&sid={}", self.sid);
        let (mut stream, _) = connect_async(url).await.unwrap();
        stream.send(Message::text("2probe")).await.unwrap();
        assert_eq!(text(stream.next().await).unwrap(), "3probe");
        stream.send(Message::text("5")).await.unwrap();
        self.wire = Wire::WebSocket(Box::new(stream));
    }

    /// Sends one Engine.IO packet as it is.
    pub(crate) async fn send_packet(&mut self, packet: &str) {
        self.send_packets(&[packet.to_owned()]).await;
    }

    /// Sends many packets at once: as frames in a row, or in as few posts as fit the server's limit.
    pub(crate) async fn send_packets(&mut self, packets: &[String]) {
        match &mut self.wire {
            Wire::WebSocket(stream) => {
                for packet in packets {
                    stream.feed(Message::text(packet.clone())).await.unwrap();
                }
                stream.flush().await.unwrap();
            }
            Wire::Polling { http, url, .. } => {
                let mut body = String::new();
                for packet in packets {
                    if !body.is_empty() && body.len() + packet.len() > 90_000 {
                        post(http, url, std::mem::take(&mut body)).await;
                    }
                    if !body.is_empty() {
                        body.push('\x1e');
                    }
                    body.push_str(packet);
                }
                post(http, url, body).await;
            }
            Wire::Closed => panic!("the transport is closed"),
        }
    }

    /// Sends one packet to a server that may have closed the transport.
    pub(crate) async fn try_send_packet(&mut self, packet: &str) {
        // An error here shows as the end of the packets.
        match &mut self.wire {
            Wire::WebSocket(stream) => drop(stream.send(Message::text(packet.to_owned())).await),
            Wire::Polling { http, url, .. } => {
                drop(http.post(url.as_str()).body(packet.to_owned()).send().await);
            }
            Wire::Closed => {}
        }
    }

    /// The next packet that is no ping; `None` once the server has closed the transport.
    pub(crate) async fn packet(&mut self) -> Option<String> {
        timeout(LIMIT, self.next_packet()).await.expect("a packet or the end in time")
    }

    /// A packet that has come already, if there is one. For WebSockets: a poll that is cut off loses packets.
    pub(crate) async fn packet_at_hand(&mut self) -> Option<String> {
        assert!(matches!(self.wire, Wire::WebSocket(_)));
        timeout(Duration::ZERO, self.next_packet()).await.ok().flatten()
    }

    /// The payload of the next `newMessage`, however long it takes.
    pub(crate) async fn message_without_limit(&mut self) -> Value {
        if let Some(message) = self.kept.pop_front() {
            return message;
        }
        loop {
            let packet = self.next_packet().await.expect("the socket stays");
            if let Some(json) = packet.strip_prefix("42") {
                return message_of(json);
            }
        }
    }

    /// Whether nothing but pings comes for `quiet`.
    pub(crate) async fn is_quiet_for(&mut self, quiet: Duration) -> bool {
        self.kept.is_empty() && timeout(quiet, self.next_packet()).await.is_err()
    }

    async fn next_packet(&mut self) -> Option<String> {
        loop {
            let packet = match &mut self.wire {
                Wire::WebSocket(stream) => text(stream.next().await),
                Wire::Polling { http, url, waiting } => {
                    if waiting.is_empty() {
                        *waiting = poll(http, url).await?;
                        waiting.reverse();
                    }
                    waiting.pop()
                }
                Wire::Closed => None,
            };
            match packet {
                None => {
                    self.wire = Wire::Closed;
                    return None;
                }
                Some(packet) if packet == "1" => {
                    self.wire = Wire::Closed;
                    return None;
                }
                Some(packet) if packet == "2" => {
                    if self.answers_pings {
                        self.try_send_packet("3").await;
                    }
                }
                Some(packet) if packet == "6" => {} // Noop: ends a poll.
                Some(packet) => return Some(packet),
            }
        }
    }

    /// Sends an event that wants an ack. Returns the ack's id.
    pub(crate) async fn emit(&mut self, event: &str, payload: &Value) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        self.send_packet(&format!("42{id}{}", json!([event, payload]))).await;
        id
    }

    /// Sends an event and returns its ack; messages that come before it are kept for [`Self::message`].
    pub(crate) async fn ask(&mut self, event: &str, payload: &Value) -> Value {
        let id = self.emit(event, payload).await;
        self.ack(id).await
    }

    /// The ack with this id; messages that come before it are kept for [`Self::message`].
    pub(crate) async fn ack(&mut self, id: u64) -> Value {
        let start = format!("43{id}[");
        loop {
            let packet = self.packet().await.expect("an ack before the transport closes");
            if packet.starts_with(&start) {
                let body: Value = serde_json::from_str(&packet[start.len() - 1..]).unwrap();
                return body[0].clone();
            }
            if let Some(json) = packet.strip_prefix("42") {
                self.kept.push_back(message_of(json));
            }
        }
    }

    /// The acks with these ids, in whichever order they come, in the order of `ids`; messages are kept.
    pub(crate) async fn acks(&mut self, ids: &[u64]) -> Vec<Value> {
        let mut acks = HashMap::new();
        while !ids.iter().all(|id| acks.contains_key(id)) {
            let packet = self.packet().await.expect("all acks before the transport closes");
            if let Some((id, body)) = packet.strip_prefix("43").and_then(|ack| ack.split_once('['))
            {
                let body: Value = serde_json::from_str(body.strip_suffix(']').unwrap()).unwrap();
                let before = acks.insert(id.parse::<u64>().unwrap(), body);
                assert_eq!(before, None, "one ack for each event");
            } else if let Some(json) = packet.strip_prefix("42") {
                self.kept.push_back(message_of(json));
            }
        }
        ids.iter().filter_map(|id| acks.remove(id)).collect()
    }

    /// Joins a room, which must succeed.
    pub(crate) async fn join(&mut self, room: &str) {
        assert_eq!(self.ask("joinRoom", &json!({"roomId": room})).await, json!({"success": true}));
    }

    /// Whether a message comes within `limit`. For WebSockets: a poll that is cut off loses packets.
    pub(crate) async fn heard_within(&mut self, limit: Duration) -> bool {
        assert!(matches!(self.wire, Wire::WebSocket(_)));
        timeout(limit, self.message()).await.is_ok()
    }

    /// The messages that came before the acks that were asked for.
    pub(crate) fn heard(&mut self) -> Vec<Value> {
        self.kept.drain(..).collect()
    }

    /// The payload of the next `newMessage`; acks that come before it are dropped.
    pub(crate) async fn message(&mut self) -> Value {
        if let Some(message) = self.kept.pop_front() {
            return message;
        }
        loop {
            let packet = self.packet().await.expect("a message before the transport closes");
            if let Some(json) = packet.strip_prefix("42") {
                return message_of(json);
            }
        }
    }
}

async fn post(http: &reqwest::Client, url: &str, body: String) {
    let response = http.post(url).body(body).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

/// `None`: the session is gone.
async fn poll(http: &reqwest::Client, url: &str) -> Option<Vec<String>> {
    let response = http.get(url).send().await.ok()?;
    if response.status() != 200 {
        return None;
    }
    let body = response.text().await.ok()?;
    Some(body.split('\x1e').filter(|packet| !packet.is_empty()).map(str::to_owned).collect())
}

fn text(message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>) -> Option<String> {
    match message? {
        Ok(Message::Text(text)) => Some(text.to_string()),
        Ok(_) | Err(_) => None,
    }
}

fn sid_of(open: &str) -> String {
    let json: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
    json["sid"].as_str().unwrap().to_owned()
}

/// The payload of a `newMessage`, the only event that the gateway emits.
fn message_of(json: &str) -> Value {
    let event: Value = serde_json::from_str(json).unwrap();
    assert_eq!(event[0], "newMessage");
    event[1].clone()
}

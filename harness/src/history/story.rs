//! The frames of a history, read: what was sent, what came of it, who was where.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{
    ConnectionId, Entry, History, What,
    seen::{Connection, Delivery, Inside, PresenceSeen, Sent},
};

/// How soon every gateway knows that somebody has left over HTTP (contract, section 2).
const REMOVED_WITHIN: Duration = Duration::from_secs(1);

/// A history, read.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub connections: BTreeMap<ConnectionId, Connection>,
    pub sent: Vec<Sent>,
    pub deliveries: Vec<Delivery>,
    pub inside: Vec<Inside>,
    /// Acks that nobody asked for.
    pub stray_acks: Vec<(Duration, ConnectionId, u64)>,
    /// Packets that are not what the contract knows, with the reason.
    pub malformed: Vec<(Duration, ConnectionId, String)>,
    pub stored: BTreeMap<String, Vec<Value>>,
    /// Rooms whose history could not be read, with the reason.
    pub unreadable: BTreeMap<String, String>,
    /// When something was sent or came last: an event, a message, an ack, an end, but no beat, ping or their answers.
    pub moved: Duration,
    /// Records of messages that no gateway has written: when, and what they say.
    pub published: Vec<(Duration, Value)>,
    pub presence: Vec<PresenceSeen>,
    pub end: Duration,
    /// When a connection asked to be let into a room and wanted no ack, if that is all that it has ever asked of the room.
    blind_joins: BTreeMap<(ConnectionId, String), Option<Duration>>,
    /// Users and the rooms that they have ever left over HTTP, or may have.
    removed: BTreeSet<(String, String)>,
    /// Where the newest event of a connection with this ack id stands in `sent`.
    asked: BTreeMap<(ConnectionId, u64), usize>,
    /// Where the deliveries of a `clientMsgId` stand in `deliveries`.
    heard: BTreeMap<String, Vec<usize>>,
}

impl Story {
    pub fn read(history: &History) -> Self {
        let mut story = Self::default();
        for entry in history.entries() {
            story.go_on(entry);
        }
        story
    }

    /// Reads one more entry.
    pub fn go_on(&mut self, entry: &Entry) {
        self.end = entry.at;
        match &entry.what {
            What::Opened { connection, device, user, gateway, is_polling } => {
                let opened = Connection {
                    device: device.clone(),
                    user: user.clone(),
                    gateway: gateway.clone(),
                    is_polling: *is_polling,
                    opened: entry.at,
                    socket: None,
                    upgraded: None,
                    welcomed: None,
                    dismissed: None,
                    closed: None,
                    given_up: None,
                };
                self.connections.insert(*connection, opened);
            }
            What::Sent { connection, packet } => self.sent(entry.at, *connection, packet),
            What::Received { connection, packet } => {
                if let Err(reason) = self.received(entry.at, *connection, packet) {
                    self.malformed.push((entry.at, *connection, reason));
                }
            }
            What::Closed { connection, .. } => {
                self.moved = entry.at;
                self.closed(entry.at, *connection);
            }
            What::GivenUp { device, .. } => {
                let newest = self.connections.values_mut().rfind(|known| known.device == *device);
                if let Some(known) = newest {
                    known.given_up.get_or_insert(entry.at);
                }
            }
            What::Called { user, call, began, status, .. } => {
                self.called(entry.at, user, call, *began, *status);
            }
            What::Stored { room, messages } => {
                self.unreadable.remove(&room.to_lowercase());
                self.stored.insert(room.to_lowercase(), messages.clone());
            }
            What::Unreadable { room, reason } => {
                self.stored.remove(&room.to_lowercase());
                self.unreadable.insert(room.to_lowercase(), reason.clone());
            }
            What::Presence { user, began, sockets } => {
                let (user, sockets) = (user.clone(), sockets.clone());
                self.presence.push(PresenceSeen { began: *began, at: entry.at, user, sockets });
            }
            What::Published { value, .. } => {
                let record = serde_json::from_str(value).ok();
                self.published.extend(record.map(|record| (entry.at, record)));
            }
            What::Broken { .. }
            | What::Mended { .. }
            | What::Died { .. }
            | What::StillPolls { .. }
            | What::Rows { .. }
            | What::Kept { .. }
            | What::Step { .. } => {}
        }
    }

    /// Every delivery of a message with this `clientMsgId`, which is in lower case.
    pub fn deliveries_of(&self, client_msg_id: &str) -> impl Iterator<Item = &Delivery> {
        let indices = self.heard.get(client_msg_id).into_iter().flatten();
        indices.map(|index| &self.deliveries[*index])
    }

    /// The `messageId` under which somebody has heard this message of this room; both ids are in lower case.
    pub fn message_id(&self, room: &str, client_msg_id: &str) -> Option<String> {
        let mut heard = self.deliveries_of(client_msg_id);
        heard.find(|heard| heard.id("roomId") == room).map(|heard| heard.id("messageId"))
    }

    /// The newest connection of a device.
    pub fn connection_of(&self, device: &str) -> Option<(ConnectionId, &Connection)> {
        let newest = self.connections.iter().rfind(|(_, known)| known.device == device);
        newest.map(|(id, known)| (*id, known))
    }

    /// The device behind a connection, for people.
    pub fn device(&self, connection: ConnectionId) -> &str {
        self.connections.get(&connection).map_or("?", |known| &known.device)
    }

    fn sent(&mut self, at: Duration, connection: ConnectionId, packet: &str) {
        if packet == "5"
            && let Some(known) = self.connections.get_mut(&connection)
        {
            known.upgraded.get_or_insert(at);
        }
        if packet == "41" || packet == "1" {
            self.dismissed(at, connection);
            for inside in self.inside.iter_mut().filter(|it| it.connection == connection) {
                inside.leaving.get_or_insert(at);
            }
        }
        let Some((ack_id, Value::Array(mut arguments))) =
            packet.strip_prefix("42").and_then(id_and_json)
        else {
            return; // A ping's answer, a CONNECT, or something malformed on purpose.
        };
        let Some(Value::String(event)) = arguments.first().cloned() else { return };
        let payload = arguments.get_mut(1).map(Value::take).unwrap_or_default();
        let sent = Sent { at, connection, event, payload, ack_id, acks: Vec::new() };
        if let Some(room) = sent.id("roomId") {
            self.asks(&sent, room);
        }
        if sent.event != "heartbeat" {
            self.moved = at;
        }
        if let Some(id) = ack_id {
            self.asked.insert((connection, id), self.sent.len());
        }
        self.sent.push(sent);
    }

    fn received(
        &mut self,
        at: Duration,
        connection: ConnectionId,
        packet: &str,
    ) -> Result<(), String> {
        let shown: String = packet.chars().take(80).collect();
        if let Some(rest) = packet.strip_prefix("42") {
            let (_, json) = id_and_json(rest).ok_or(format!("`{shown}` is no event"))?;
            if json[0] != "newMessage" {
                return Err(format!("the server has no event {}", json[0]));
            }
            let message = json[1].clone();
            self.moved = at;
            let delivery = Delivery { at, connection, message };
            self.must_be_inside(&delivery);
            self.heard.entry(delivery.id("clientMsgId")).or_default().push(self.deliveries.len());
            self.deliveries.push(delivery);
        } else if let Some(rest) = packet.strip_prefix("43") {
            let (id, json) = id_and_json(rest).ok_or(format!("`{shown}` is no ack"))?;
            let id = id.ok_or(format!("`{shown}` is an ack without an id"))?;
            let ack = json[0].clone();
            let asked = self.asked.get(&(connection, id)).copied();
            match asked.and_then(|index| self.sent.get_mut(index)) {
                Some(sent) => {
                    sent.acks.push((at, ack));
                    if sent.event != "heartbeat" {
                        self.moved = at;
                    }
                    if sent.event != "sendMessage" {
                        let sent = sent.clone();
                        self.answered(at, &sent);
                    }
                }
                None => self.stray_acks.push((at, connection, id)),
            }
        } else if let Some(json) = packet.strip_prefix("40") {
            let hello: Value = serde_json::from_str(json).unwrap_or_default();
            let is_hello =
                hello["sid"].is_string() && hello.as_object().is_some_and(|it| it.len() == 1);
            if !is_hello {
                return Err(format!("`{shown}` is no answer to CONNECT"));
            }
            if let Some(known) = self.connections.get_mut(&connection) {
                known.socket = hello["sid"].as_str().map(str::to_owned);
                known.welcomed.get_or_insert(at);
            }
        } else if packet == "41" {
            self.moved = at;
            self.dismissed(at, connection);
            self.left_all(at, connection);
        } else if !["0", "1", "2", "3", "6", "44/"].iter().any(|p| packet.starts_with(p)) {
            return Err(format!("`{shown}` is no packet of the contract"));
        }
        Ok(())
    }

    /// An event about a room was sent.
    fn asks(&mut self, sent: &Sent, room: String) {
        if sent.event == "joinRoom" {
            let is_blind = sent.ack_id.is_none() && sent.payload.get("after").is_none();
            let asked = is_blind.then_some(sent.at);
            self.blind_joins.entry((sent.connection, room)).or_insert(asked);
        } else if sent.event == "leaveRoom" {
            if let Some(inside) = self.inside_now(sent.connection, &room) {
                inside.leaving.get_or_insert(sent.at);
            }
            self.blind_joins.insert((sent.connection, room), None);
        }
    }

    /// Whoever hears a room, and has asked nothing but to be let in, is in, though nobody has said so.
    fn must_be_inside(&mut self, delivery: &Delivery) {
        let (connection, room) = (delivery.connection, delivery.id("roomId"));
        let Some(asked) = self.blind_joins.get(&(connection, room.clone())).copied().flatten()
        else {
            return;
        };
        let Some(known) = self.connections.get(&connection) else { return };
        let is_removed = self.removed.contains(&(known.user.to_lowercase(), room.clone()));
        let is_gone = is_removed || known.dismissed.is_some();
        if !is_gone && self.inside_now(connection, &room).is_none() {
            self.inside.push(Inside {
                connection,
                room,
                asked,
                joined: delivery.at,
                heard_from: Some(delivery.id("messageId")),
                leaving: None,
                left: None,
                is_removed: false,
            });
        }
    }

    fn answered(&mut self, at: Duration, sent: &Sent) {
        let Some(room) = sent.id("roomId") else { return };
        let connection = sent.connection;
        if sent.succeeded_at() != Some(at) {
            // Who is refused to leave is in as before, unless they have asked again or said goodbye since.
            let is_pending = |other: &Sent| {
                other.connection == connection
                    && other.event == "leaveRoom"
                    && other.acks.is_empty()
                    && other.id("roomId").as_ref() == Some(&room)
            };
            let since = self.sent.iter().rev().take_while(|other| other.at >= sent.at);
            let pending = since.filter(|other| is_pending(other)).map(|other| other.at).min();
            let goodbye = self.connections.get(&connection).and_then(|known| known.dismissed);
            let stay = self.inside_now(connection, &room);
            if let Some(stay) = stay.filter(|stay| {
                sent.event == "leaveRoom" && !stay.is_removed && stay.leaving == Some(sent.at)
            }) {
                stay.leaving = [pending, goodbye].into_iter().flatten().min();
            }
            return;
        }
        if sent.event == "joinRoom" {
            match self.inside_now(connection, &room) {
                // It has asked to leave, and was never told whether it had; now it is in for sure. A leave over HTTP may still come
                // true.
                Some(stay)
                    if !stay.is_removed
                        && stay.leaving.is_some_and(|leaving| leaving < sent.at) =>
                {
                    stay.left = Some(at);
                }
                Some(_) => return,
                None => {}
            }
            self.inside.push(Inside {
                connection,
                room,
                asked: sent.at,
                joined: at,
                heard_from: None,
                leaving: None,
                left: None,
                is_removed: false,
            });
        } else if sent.event == "leaveRoom"
            && let Some(inside) = self.inside_now(connection, &room)
            // Its ack may come after that of a later join.
            && inside.asked <= sent.at
        {
            inside.leaving.get_or_insert(sent.at);
            inside.left = Some(at);
        }
    }

    /// Who has left over HTTP may hear nothing more, on any device, a second after the answer.
    fn called(&mut self, at: Duration, user: &str, call: &str, began: Duration, status: u16) {
        let room = call.strip_prefix("POST /rooms/").and_then(|rest| rest.strip_suffix("/leave"));
        let Some(room) = room.filter(|_| status == 204 || status == 0 || status >= 500) else {
            return;
        };
        let theirs: BTreeSet<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, known)| known.user.eq_ignore_ascii_case(user))
            .map(|(id, _)| *id)
            .collect();
        self.removed.insert((user.to_lowercase(), room.to_lowercase()));
        for inside in &mut self.inside {
            if inside.left.is_none()
                && inside.room.eq_ignore_ascii_case(room)
                && theirs.contains(&inside.connection)
            {
                inside.leaving.get_or_insert(began);
                inside.is_removed = true;
                // Without a good answer nobody knows whether they have left.
                inside.left = (status == 204).then_some(at + REMOVED_WITHIN);
            }
        }
    }

    fn inside_now(&mut self, connection: ConnectionId, room: &str) -> Option<&mut Inside> {
        self.inside
            .iter_mut()
            .find(|it| it.connection == connection && it.room == room && it.left.is_none())
    }

    fn closed(&mut self, at: Duration, connection: ConnectionId) {
        if let Some(known) = self.connections.get_mut(&connection) {
            known.closed.get_or_insert(at);
        }
        self.left_all(at, connection);
    }

    fn dismissed(&mut self, at: Duration, connection: ConnectionId) {
        if let Some(known) = self.connections.get_mut(&connection) {
            known.dismissed.get_or_insert(at);
        }
    }

    fn left_all(&mut self, at: Duration, connection: ConnectionId) {
        for inside in self.inside.iter_mut().filter(|it| it.connection == connection) {
            inside.leaving.get_or_insert(at);
            inside.left.get_or_insert(at);
        }
    }
}

/// `7["a",1]`: the ack's id, if there is one, and the JSON after it.
pub(crate) fn id_and_json(text: &str) -> Option<(Option<u64>, Value)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let id = if digits == 0 { None } else { Some(text[..digits].parse().ok()?) };
    Some((id, serde_json::from_str(&text[digits..]).ok()?))
}

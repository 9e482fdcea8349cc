//! What a story is made of: events and their acks, deliveries, stays in rooms, connections, presence.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::ConnectionId;
use crate::contract::REFUSALS;

/// An event that a device sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub at: Duration,
    pub connection: ConnectionId,
    pub event: String,
    pub payload: Value,
    /// `None`: it asked for no ack.
    pub ack_id: Option<u64>,
    /// Every ack that came, with its time.
    pub acks: Vec<(Duration, Value)>,
}

impl Sent {
    /// A string of the payload, in lower case: ids are compared by value.
    pub fn id(&self, field: &str) -> Option<String> {
        self.payload[field].as_str().map(str::to_lowercase)
    }

    /// Whether it was answered `ACCEPTED`.
    pub fn is_accepted(&self) -> bool {
        self.acks.iter().any(|(_, ack)| ack["status"] == "ACCEPTED")
    }

    /// Whether it was surely not taken, by every ack that came.
    pub fn is_refused(&self) -> bool {
        let is_refusal = |(_, ack): &(Duration, Value)| {
            ack["error"].as_str().is_some_and(|error| REFUSALS.contains(&error))
        };
        !self.acks.is_empty() && self.acks.iter().all(is_refusal)
    }

    /// When it was answered with success.
    pub fn succeeded_at(&self) -> Option<Duration> {
        let success = self.acks.iter().find(|(_, ack)| ack["success"] == true);
        success.map(|(at, _)| *at)
    }
}

/// A `newMessage` that a connection received.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub at: Duration,
    pub connection: ConnectionId,
    pub message: Value,
}

impl Delivery {
    /// A string of the message, in lower case.
    pub fn id(&self, field: &str) -> String {
        self.message[field].as_str().unwrap_or_default().to_lowercase()
    }
}

/// The time that a connection spent in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    pub connection: ConnectionId,
    pub room: String,
    /// `joinRoom` was sent: from here on messages may come.
    pub asked: Duration,
    /// Its ack came, or the first message where none was asked for: from here on they must.
    pub joined: Duration,
    /// The `messageId` of that first message, where no ack was asked for: newer ones must come whenever they were sent.
    pub heard_from: Option<String>,
    /// `leaveRoom` was sent or the connection ended: from here on they need not.
    pub leaving: Option<Duration>,
    /// The ack of `leaveRoom` came: from here on they must not.
    pub left: Option<Duration>,
    /// It was the user who left, over HTTP: gateways hear of that on another way than the messages come.
    pub is_removed: bool,
}

impl Inside {
    /// Whether it had begun before the message that was sent at this time and has this `messageId`.
    pub fn had_begun(&self, sent: Duration, id: Option<&str>) -> bool {
        let is_newer = |(from, id): (&String, &str)| from.as_str() < id;
        self.joined < sent || self.heard_from.as_ref().zip(id).is_some_and(is_newer)
    }
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub device: String,
    pub user: String,
    pub gateway: String,
    /// It began by long-polling.
    pub is_polling: bool,
    pub opened: Duration,
    /// The socket's id, once the server has answered CONNECT.
    pub socket: Option<String>,
    /// `5` was sent: it has gone over from polling to a WebSocket.
    pub upgraded: Option<Duration>,
    /// `40` came.
    pub welcomed: Option<Duration>,
    /// `41` came or was sent: the socket has left the namespace.
    pub dismissed: Option<Duration>,
    /// The transport is gone.
    pub closed: Option<Duration>,
    /// The gateway has noticed that the device is gone, where nobody told it.
    pub given_up: Option<Duration>,
}

impl Connection {
    /// Whether it is in the namespace.
    pub fn is_connected(&self) -> bool {
        self.welcomed.is_some() && self.ended().is_none()
    }

    /// When it left the namespace, whoever ended it.
    pub fn ended(&self) -> Option<Duration> {
        [self.dismissed, self.closed].into_iter().flatten().min()
    }
}

/// What was seen of a user's presence; it stays so until it is seen again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceSeen {
    /// The look began: it shows what was so at some moment since then.
    pub began: Duration,
    pub at: Duration,
    pub user: String,
    /// Ids of sockets.
    pub sockets: BTreeSet<String>,
}

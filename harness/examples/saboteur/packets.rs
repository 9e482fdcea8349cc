//! Engine.IO packets as texts, and the Socket.IO events and acks in them.

use std::time::Duration;

use serde_json::{Value, json};

/// Between the packets of a long-polling body.
pub(crate) const SEPARATOR: char = '\u{1e}';

/// What becomes of a packet.
#[derive(Clone, Debug)]
pub(crate) enum Out {
    /// To the device.
    Down(String),
    DownLater(Duration, String),
    /// To the gateway.
    Up(String),
    UpLater(Duration, String),
    /// The transport is closed.
    Close,
}

/// An event of a client.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) ack_id: Option<u64>,
    pub(crate) name: String,
    pub(crate) payload: Value,
    packet: String,
}

impl Event {
    pub(crate) fn read(packet: &str) -> Option<Self> {
        let (ack_id, arguments) = id_and_json(packet.strip_prefix("42")?)?;
        let name = arguments[0].as_str()?.to_owned();
        Some(Self { ack_id, name, payload: arguments[1].clone(), packet: packet.to_owned() })
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.payload[field].as_str().unwrap_or_default()
    }

    /// On to the gateway, as it came.
    pub(crate) fn up(&self) -> Out {
        Out::Up(self.packet.clone())
    }

    /// On to the gateway with another payload.
    pub(crate) fn up_with(&self, payload: &Value) -> Out {
        let id = self.ack_id.map(|id| id.to_string()).unwrap_or_default();
        Out::Up(format!("42{id}{}", json!([self.name, payload])))
    }

    /// On to the gateway with one field changed.
    pub(crate) fn up_changed(&self, field: &str, value: impl Into<Value>) -> Out {
        let mut payload = self.payload.clone();
        payload[field] = value.into();
        self.up_with(&payload)
    }

    /// An answer of our own, if one was asked for.
    pub(crate) fn answer(&self, ack: &Value) -> Vec<Out> {
        self.ack_id.map(|id| Ack::down(id, ack)).into_iter().collect()
    }

    pub(crate) fn accepted(&self) -> Value {
        json!({"clientMsgId": self.text("clientMsgId"), "status": "ACCEPTED"})
    }

    pub(crate) fn failed(&self, error: &str) -> Value {
        json!({"clientMsgId": self.text("clientMsgId"), "status": "FAILED", "error": error})
    }
}

/// An ack of the gateway, with the event that asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Ack {
    pub(crate) id: u64,
    pub(crate) body: Value,
    pub(crate) event: Event,
}

impl Ack {
    /// The id and the body.
    pub(crate) fn read(packet: &str) -> Option<(u64, Value)> {
        let (id, arguments) = id_and_json(packet.strip_prefix("43")?)?;
        Some((id?, arguments[0].clone()))
    }

    pub(crate) fn down(id: u64, body: &Value) -> Out {
        Out::Down(format!("43{id}{}", json!([body])))
    }

    /// On to the device, as it came.
    pub(crate) fn on(&self) -> Out {
        Self::down(self.id, &self.body)
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.body["status"] == "ACCEPTED"
    }

    pub(crate) fn is_error(&self) -> bool {
        self.body["error"].is_string()
    }
}

/// A `newMessage`.
#[derive(Clone, Debug)]
pub(crate) struct Message(pub(crate) Value);

impl Message {
    pub(crate) fn read(packet: &str) -> Option<Self> {
        let (_, mut arguments) = id_and_json(packet.strip_prefix("42")?)?;
        (arguments[0] == "newMessage").then(|| Self(arguments[1].take()))
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    pub(crate) fn packet(&self) -> String {
        format!("42{}", json!(["newMessage", self.0]))
    }

    /// On to the device.
    pub(crate) fn down(&self) -> Out {
        Out::Down(self.packet())
    }

    /// On to the device with one field changed.
    pub(crate) fn down_with(&self, field: &str, value: impl Into<Value>) -> Vec<Out> {
        let mut message = self.clone();
        message.0[field] = value.into();
        vec![message.down()]
    }
}

/// `7["a",1]`: the ack's id, if there is one, and the JSON after it.
fn id_and_json(text: &str) -> Option<(Option<u64>, Value)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let id = if digits == 0 { None } else { Some(text[..digits].parse().ok()?) };
    Some((id, serde_json::from_str(&text[digits..]).ok()?))
}

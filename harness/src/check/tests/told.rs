//! Runs that are told by hand, packet by packet, each at its time in milliseconds.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{OPEN, TIMES, check, room, uuid};
use crate::{
    history::{ConnectionId, History, What},
    scenario::TimeNames,
};

/// Users of the devices `alice` and `bob`.
pub(super) const ALICE: u128 = 1;
pub(super) const BOB: u128 = 2;

#[derive(Default)]
pub(super) struct Told {
    history: History,
}

impl Told {
    /// Alice's connection 1 and bob's 2, both welcomed by `gw1` at the beginning.
    pub(super) fn new() -> Self {
        let mut told = Self::default();
        told.history.call(room(), "general");
        told.history.call(uuid(2, ALICE), "alice");
        told.history.call(uuid(2, BOB), "bob");
        told.connects(0, 1, "alice.phone", ALICE);
        told.connects(0, 2, "bob.phone", BOB);
        told
    }

    pub(super) fn push(&mut self, at: u64, what: What) {
        self.history.push(Duration::from_millis(at), what);
    }

    /// Its socket is called like the connection.
    pub(super) fn connects(&mut self, at: u64, connection: u32, device: &str, user: u128) {
        let (device, user, gateway) = (device.to_owned(), uuid(2, user), "gw1".to_owned());
        let opened = What::Opened {
            connection: ConnectionId(connection),
            device,
            user,
            gateway,
            is_polling: false,
        };
        self.push(at, opened);
        self.hears(at, connection, OPEN);
        self.hears(at, connection, &format!(r#"40{{"sid":"socket {connection}"}}"#));
    }

    pub(super) fn hears(&mut self, at: u64, connection: u32, packet: &str) {
        let (connection, packet) = (ConnectionId(connection), packet.to_owned());
        self.push(at, What::Received { connection, packet });
    }

    pub(super) fn says(&mut self, at: u64, connection: u32, packet: &str) {
        let (connection, packet) = (ConnectionId(connection), packet.to_owned());
        self.push(at, What::Sent { connection, packet });
    }

    /// An event and its ack a millisecond later, which has the same id as the moment.
    pub(super) fn asks(&mut self, at: u64, connection: u32, event: &Value, ack: &Value) {
        self.says(at, connection, &format!("42{at}{event}"));
        self.hears(at + 1, connection, &format!("43{at}{}", json!([ack])));
    }

    pub(super) fn joins(&mut self, at: u64, connection: u32) {
        let event = json!(["joinRoom", {"roomId": room()}]);
        self.asks(at, connection, &event, &json!({"success": true}));
    }

    pub(super) fn leaves(&mut self, at: u64, connection: u32) {
        let event = json!(["leaveRoom", {"roomId": room()}]);
        self.asks(at, connection, &event, &json!({"success": true}));
    }

    /// `POST /rooms/:roomId/join` or `leave`, which is answered at once.
    pub(super) fn calls(&mut self, at: u64, user: u128, verb: &str, status: u16) {
        let reply = match status {
            204 => Value::Null,
            _ => json!({"statusCode": 503, "error": "Service Unavailable", "message": "later"}),
        };
        let headers = [("content-type", "application/json"), ("retry-after", "1")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.push(
            at,
            What::Called {
                user: uuid(2, user),
                gateway: None,
                is_admin: false,
                call: format!("POST /rooms/{}/{verb}", room()),
                began: Duration::from_millis(at),
                status,
                reply,
                headers: headers.into(),
            },
        );
    }

    /// Message `n`, which is answered `ACCEPTED` or with an error.
    pub(super) fn sends(&mut self, at: u64, connection: u32, n: u128, error: Option<&str>) {
        let ack = match error {
            None => json!({"clientMsgId": uuid(4, n), "status": "ACCEPTED"}),
            Some(error) => json!({"clientMsgId": uuid(4, n), "status": "FAILED", "error": error}),
        };
        self.history.call(uuid(4, n), format!("message {n}"));
        let draft = json!({"roomId": room(), "clientMsgId": uuid(4, n), "content": "hi"});
        self.asks(at, connection, &json!(["sendMessage", draft]), &ack);
    }

    /// Message `n` of alice comes, whose id is the `place`th.
    pub(super) fn hears_message(&mut self, at: u64, connection: u32, n: u128, place: u128) {
        let packet = json!(["newMessage", message(n, place)]);
        self.hears(at, connection, &format!("42{packet}"));
    }

    /// The history tells these messages of alice, in this order.
    pub(super) fn stores(&mut self, at: u64, numbers: &[u128]) {
        let messages = (0..).zip(numbers).map(|(place, n)| message(*n, place)).collect();
        self.push(at, What::Stored { room: room(), messages });
    }

    pub(super) fn closes(&mut self, at: u64, connection: u32, by_gateway: bool) {
        self.push(at, What::Closed { connection: ConnectionId(connection), by_gateway });
    }

    pub(super) fn breaks(&mut self, at: u64, what: &str) {
        let text = format!("{what} broke");
        self.push(at, What::Broken { what: what.to_owned(), text });
    }

    pub(super) fn mends(&mut self, at: u64, what: &str) {
        let text = format!("{what} works");
        self.push(at, What::Mended { what: what.to_owned(), text });
    }

    /// The findings, as `invariant: text`.
    pub(super) fn findings(&self) -> Vec<String> {
        self.findings_within(TIMES)
    }

    pub(super) fn findings_within(&self, times: TimeNames) -> Vec<String> {
        let findings = check(&self.history, &[], times);
        findings.iter().map(|it| format!("{}: {}", it.invariant, it.text)).collect()
    }
}

/// Message `n` of alice, whose id is the `place`th.
pub(super) fn message(n: u128, place: u128) -> Value {
    json!({
        "messageId": Uuid::from_u128(place << 80 | 0x7 << 76 | 0x8 << 60),
        "roomId": room(), "senderId": uuid(2, ALICE), "clientMsgId": uuid(4, n),
        "type": "TEXT", "content": "hi", "createdAt": "2026-01-02T03:04:05.678Z",
    })
}

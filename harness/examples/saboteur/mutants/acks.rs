//! Acks that are missing, too many, too early, too late, or say something else.

use std::time::Duration;

use serde_json::json;

use super::{
    Fault::{Ack, Event, Up},
    Mutant,
};
use crate::packets::{self, Out};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "accepts-and-forgets",
        faults: &[Event(|gate, _, event| {
            if event.name == "sendMessage"
                && gate.next().is_multiple_of(10)
                && event.payload["content"].is_string()
            {
                return event.answer(&event.accepted());
            }
            vec![event.up()]
        })],
    },
    Mutant {
        name: "accepts-before-the-broker-has-it",
        faults: &[
            Event(|_, _, event| {
                let Out::Up(packet) = event.up() else { return vec![] };
                if event.name == "sendMessage" && event.payload["content"].is_string() {
                    let later = Out::UpLater(Duration::from_millis(400), packet);
                    return [event.answer(&event.accepted()), vec![later]].concat();
                }
                vec![event.up()]
            }),
            Ack(|_, _, ack| if ack.is_accepted() { vec![] } else { vec![ack.on()] }),
        ],
    },
    Mutant {
        name: "acks-only-what-is-stored",
        faults: &[Ack(|_, _, ack| {
            if !ack.is_accepted() {
                return vec![ack.on()];
            }
            let Out::Down(packet) = ack.on() else { return vec![] };
            vec![Out::DownLater(Duration::from_millis(1_500), packet)]
        })],
    },
    Mutant {
        name: "leaves-rooms-of-strangers",
        faults: &[Ack(|_, _, mut ack| {
            if ack.event.name == "leaveRoom" && ack.body["error"] == "Not a member of this room" {
                ack.body = json!({"success": true});
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "acks-twice",
        faults: &[Ack(|gate, _, ack| {
            vec![ack.on(); if gate.next().is_multiple_of(10) { 2 } else { 1 }]
        })],
    },
    Mutant {
        name: "acks-again-a-tenth-of-a-second-later",
        faults: &[Ack(|_, _, ack| {
            let Out::Down(packet) = ack.on() else { return vec![] };
            vec![ack.on(), Out::DownLater(Duration::from_millis(110), packet)]
        })],
    },
    Mutant {
        name: "acks-with-the-wrong-id",
        faults: &[Ack(|gate, _, ack| {
            let id = if gate.next().is_multiple_of(10) { ack.id + 1_000_000 } else { ack.id };
            vec![packets::Ack::down(id, &ack.body)]
        })],
    },
    Mutant {
        name: "never-acks-one-of-twenty",
        faults: &[Ack(
            |gate, _, ack| if gate.next().is_multiple_of(20) { vec![] } else { vec![ack.on()] },
        )],
    },
    Mutant {
        name: "never-acks-what-is-malformed",
        faults: &[Ack(|_, _, ack| {
            if ack.body["error"] == "Invalid message format" { vec![] } else { vec![ack.on()] }
        })],
    },
    Mutant {
        name: "never-acks-heartbeats-with-arguments",
        faults: &[Ack(|_, _, ack| {
            let is_odd = ack.event.name == "heartbeat" && ack.event.payload != json!({});
            if is_odd { vec![] } else { vec![ack.on()] }
        })],
    },
    Mutant {
        name: "acks-eleven-seconds-late",
        faults: &[Ack(|gate, _, ack| {
            let Out::Down(packet) = ack.on() else { return vec![] };
            if gate.next().is_multiple_of(5) {
                vec![Out::DownLater(Duration::from_millis(11_500), packet)]
            } else {
                vec![ack.on()]
            }
        })],
    },
    Mutant {
        name: "acks-who-asked-for-none",
        faults: &[Up(|_, _, packet| {
            let is_silent = packet.strip_prefix("42").is_some_and(|rest| rest.starts_with('['));
            let mut outs = vec![Out::Up(packet)];
            if is_silent {
                outs.push(packets::Ack::down(0, &json!({"success": true})));
            }
            outs
        })],
    },
    Mutant {
        name: "accepts-what-it-refused",
        faults: &[Ack(|_, _, mut ack| {
            if ack.event.name == "sendMessage" && ack.is_error() {
                ack.body = ack.event.accepted();
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "succeeds-at-leaving-nonsense",
        faults: &[Ack(|_, _, mut ack| {
            if ack.event.name == "leaveRoom" && ack.is_error() {
                ack.body = json!({"success": true});
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "refuses-what-it-stores",
        faults: &[Ack(|gate, _, mut ack| {
            if ack.is_accepted() && gate.next().is_multiple_of(3) {
                ack.body = ack.event.failed("Not a member of this room");
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "has-another-error-text",
        faults: &[Ack(|_, _, mut ack| {
            if ack.body["error"] == "Not a member of this room" {
                ack.body["error"] = json!("Not a member of this room.");
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "has-the-error-text-of-another-event",
        faults: &[Ack(|_, _, mut ack| {
            if ack.body["error"] == "Invalid room" {
                ack.body["error"] = json!("Not a member of this room");
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "tells-unknown-rooms-from-foreign-ones",
        faults: &[Ack(|_, _, mut ack| {
            if ack.event.name == "joinRoom" && ack.body["error"] == "Not a member of this room" {
                ack.body["error"] = json!("Invalid room");
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "has-a-code-beside-the-error",
        faults: &[Ack(|_, _, mut ack| {
            if ack.is_error() {
                ack.body["code"] = json!(4);
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "echoes-ids-in-lower-case",
        faults: &[Ack(|_, _, mut ack| {
            if let Some(id) = ack.body["clientMsgId"].as_str().map(str::to_lowercase) {
                ack.body["clientMsgId"] = json!(id);
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "echoes-no-id-where-the-payload-is-bad",
        faults: &[Ack(|_, _, mut ack| {
            if ack.body["error"] == "Invalid message format" {
                ack.body["clientMsgId"] = json!("");
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "says-ok-for-accepted",
        faults: &[Ack(|_, _, mut ack| {
            if ack.is_accepted() {
                ack.body["status"] = json!("OK");
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "acks-unknown-events",
        faults: &[Event(|_, _, event| {
            if ["joinRoom", "leaveRoom", "sendMessage", "heartbeat"].contains(&event.name.as_str())
            {
                return vec![event.up()];
            }
            event.answer(&json!({"success": false, "error": "Unknown event"}))
        })],
    },
    Mutant {
        name: "answers-unknown-events",
        faults: &[Event(|_, _, event| {
            if ["joinRoom", "leaveRoom", "sendMessage", "heartbeat"].contains(&event.name.as_str())
            {
                return vec![event.up()];
            }
            vec![Out::Down(format!("42{}", json!(["exception", {"message": "Unknown event"}])))]
        })],
    },
    Mutant {
        name: "says-truncated-of-every-join",
        faults: &[Ack(|_, _, mut ack| {
            if ack.event.name == "joinRoom" && ack.body["success"] == true {
                ack.body["truncated"] = true.into();
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "acks-again-three-seconds-later",
        faults: &[Ack(|_, _, ack| {
            let Out::Down(packet) = ack.on() else { return vec![] };
            vec![ack.on(), Out::DownLater(Duration::from_secs(3), packet)]
        })],
    },
    Mutant {
        name: "ignores-leaves-without-an-ack",
        faults: &[Event(|_, _, event| {
            let is_silent = event.name == "leaveRoom" && event.ack_id.is_none();
            if is_silent { vec![] } else { vec![event.up()] }
        })],
    },
    Mutant {
        name: "ignores-heartbeats-without-an-ack",
        faults: &[Event(|_, _, event| {
            let is_silent = event.name == "heartbeat" && event.ack_id.is_none();
            if is_silent { vec![] } else { vec![event.up()] }
        })],
    },
];

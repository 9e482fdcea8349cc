//! What is taken that should be refused.

use serde_json::json;
use uuid::Uuid;

use super::{
    Fault::{Delivery, Event},
    Mutant,
};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "takes-nul",
        faults: &[Event(|_, _, event| {
            let content = event.text("content");
            vec![if content.contains('\0') {
                event.up_changed("content", content.replace('\0', " "))
            } else {
                event.up()
            }]
        })],
    },
    Mutant {
        name: "takes-5001-units",
        faults: &[Event(|_, _, event| {
            let units: Vec<u16> = event.text("content").encode_utf16().collect();
            if units.len() != 5_001 {
                return vec![event.up()];
            }
            vec![event.up_changed("content", String::from_utf16_lossy(&units[..4_999]))]
        })],
    },
    Mutant {
        name: "counts-characters-instead-of-units",
        faults: &[Event(|_, _, event| {
            let content = event.text("content");
            let is_taken =
                content.chars().count() <= 5_000 && content.encode_utf16().count() > 5_000;
            vec![if is_taken { event.up_changed("content", "x") } else { event.up() }]
        })],
    },
    Mutant {
        name: "counts-bytes-instead-of-units",
        faults: &[Event(|_, _, event| {
            if event.name == "sendMessage" && event.text("content").len() > 5_000 {
                return event.answer(&event.failed("Invalid message format"));
            }
            vec![event.up()]
        })],
    },
    Mutant {
        name: "takes-empty-content",
        faults: &[Event(|_, _, event| {
            vec![if event.payload["content"] == "" {
                event.up_changed("content", "-")
            } else {
                event.up()
            }]
        })],
    },
    Mutant {
        name: "takes-system-messages",
        faults: &[Event(|_, _, event| {
            vec![if event.payload["type"] == "SYSTEM" {
                event.up_changed("type", "TEXT")
            } else {
                event.up()
            }]
        })],
    },
    Mutant {
        name: "takes-types-in-lower-case",
        faults: &[Event(|_, _, event| match event.payload["type"].as_str() {
            Some("system" | "text" | "VIDEO") => vec![event.up_changed("type", "TEXT")],
            _ => vec![event.up()],
        })],
    },
    Mutant {
        name: "takes-ids-without-dashes",
        faults: &[Event(|_, _, event| match Uuid::try_parse(event.text("clientMsgId")) {
            Ok(id) if event.text("clientMsgId").len() != 36 => {
                vec![event.up_changed("clientMsgId", id.to_string())]
            }
            _ => vec![event.up()],
        })],
    },
    Mutant {
        name: "takes-only-random-ids",
        faults: &[Event(|_, _, event| match Uuid::try_parse(event.text("clientMsgId")) {
            Ok(id) if event.name == "sendMessage" && id.get_version_num() != 4 => {
                event.answer(&event.failed("Invalid message format"))
            }
            _ => vec![event.up()],
        })],
    },
    Mutant {
        name: "takes-rooms-only-in-lower-case",
        faults: &[Event(|_, _, event| {
            let room = event.text("roomId");
            if event.name == "joinRoom" && room != room.to_lowercase() {
                return event.answer(&json!({"success": false, "error": "Invalid room"}));
            }
            vec![event.up()]
        })],
    },
    Mutant {
        name: "takes-the-sender-from-the-payload",
        faults: &[
            Event(|gate, _, event| {
                if event.name == "sendMessage" && event.payload["senderId"].is_string() {
                    gate.remember(event.text("clientMsgId"), event.text("senderId"));
                }
                vec![event.up()]
            }),
            Delivery(|gate, _, message| match gate.recall(message.text("clientMsgId")) {
                Some(sender) => message.down_with("senderId", sender),
                None => vec![message.down()],
            }),
        ],
    },
    Mutant {
        name: "accepts-rooms-in-capitals-and-forgets",
        faults: &[Event(|_, _, event| {
            let room = event.text("roomId");
            let is_loud = room != room.to_lowercase() && room.len() == 36;
            if event.name == "sendMessage" && is_loud && event.payload["content"].is_string() {
                return event.answer(&event.accepted());
            }
            vec![event.up()]
        })],
    },
    Mutant {
        name: "joins-rooms-in-capitals-and-forgets",
        faults: &[Event(|_, _, event| {
            let room = event.text("roomId");
            if event.name == "joinRoom" && room != room.to_lowercase() && room.len() == 36 {
                return event.answer(&serde_json::json!({"success": true}));
            }
            vec![event.up()]
        })],
    },
];

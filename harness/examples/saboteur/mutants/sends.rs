//! What is taken that should be refused, and retries that are not known as such.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Fault::{Ack, Delivery, Event, Reply},
    Mutant,
};
use crate::{gate::Gate, packets};

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
        name: "stores-retries-again",
        faults: &[Event(retry_as_new), Ack(first_id_in_ack), Delivery(first_id), Reply(first_ids)],
    },
    Mutant {
        name: "stores-retries-in-other-letter-case-again",
        faults: &[
            Event(|gate, socket, event| {
                let id = event.text("clientMsgId");
                let is_new_case = event.name == "sendMessage"
                    && gate
                        .remember(format!("sent {}", id.to_lowercase()), id)
                        .is_some_and(|before| before != id);
                if is_new_case { retry_as_new(gate, socket, event) } else { vec![event.up()] }
            }),
            Ack(first_id_in_ack),
            Delivery(first_id),
            Reply(first_ids),
        ],
    },
    Mutant {
        name: "stores-retries-of-another-socket-again",
        faults: &[
            Event(|gate, socket, event| {
                let key = format!("first socket of {}", event.text("clientMsgId").to_lowercase());
                let first = gate.recall(&key).unwrap_or_else(|| json!(socket.number));
                gate.remember(key, first.clone());
                gate.remember(format!("sent {}", event.text("clientMsgId").to_lowercase()), true);
                let is_other = event.name == "sendMessage" && first != json!(socket.number);
                if is_other { retry_as_new(gate, socket, event) } else { vec![event.up()] }
            }),
            Ack(first_id_in_ack),
            Delivery(first_id),
            Reply(first_ids),
        ],
    },
    Mutant {
        name: "stores-retries-after-a-second-again",
        faults: &[
            Event(|gate, socket, event| {
                let key = format!("sent at {}", event.text("clientMsgId").to_lowercase());
                let now = gate.age_ms();
                let first = gate.recall(&key).and_then(|at| at.as_u64()).unwrap_or(now);
                gate.remember(key, first);
                gate.remember(format!("sent {}", event.text("clientMsgId").to_lowercase()), true);
                let is_late = event.name == "sendMessage" && now > first + 1_000;
                if is_late { retry_as_new(gate, socket, event) } else { vec![event.up()] }
            }),
            Ack(first_id_in_ack),
            Delivery(first_id),
            Reply(first_ids),
        ],
    },
    Mutant {
        name: "stores-one-retry-of-five-again",
        faults: &[
            Event(|gate, socket, event| {
                let is_retry =
                    gate.recall(&format!("sent {}", event.text("clientMsgId"))).is_some();
                gate.remember(format!("sent {}", event.text("clientMsgId")), true);
                if is_retry && gate.next().is_multiple_of(5) {
                    retry_as_new(gate, socket, event)
                } else {
                    vec![event.up()]
                }
            }),
            Ack(first_id_in_ack),
            Delivery(first_id),
            Reply(first_ids),
        ],
    },
    Mutant {
        name: "refuses-retries",
        faults: &[Event(|gate, _, event| {
            let is_retry = event.name == "sendMessage"
                && event.payload["content"].is_string()
                && gate.remember(format!("sent {}", event.text("clientMsgId")), true).is_some();
            if is_retry {
                event.answer(&event.failed("Message delivery failed"))
            } else {
                vec![event.up()]
            }
        })],
    },
    Mutant {
        name: "takes-ids-of-others-for-retries",
        faults: &[Event(|gate, socket, event| {
            let key = format!("sent {}", event.text("clientMsgId"));
            let user = json!(socket.user());
            let first = gate.recall(&key).unwrap_or_else(|| user.clone());
            gate.remember(key, first.clone());
            if event.name == "sendMessage" && first != user {
                event.answer(&event.accepted())
            } else {
                vec![event.up()]
            }
        })],
    },
    Mutant {
        name: "keeps-the-words-of-the-retry",
        faults: &[
            Event(|gate, _, event| {
                gate.remember(event.text("clientMsgId").to_lowercase(), event.text("content"));
                vec![event.up()]
            }),
            Reply(|gate, asked, reply| {
                if asked.is("GET", "/rooms/*/messages") && reply.status == 200 {
                    let mut page = reply.list();
                    for message in &mut page {
                        let id = message["clientMsgId"].as_str().unwrap_or_default().to_lowercase();
                        message["content"] = gate.recall(&id).unwrap_or_default();
                    }
                    reply.set(&Value::Array(page));
                }
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

/// A message that was sent before goes on under another id.
#[expect(clippy::needless_pass_by_value, reason = "the type of all mutants of this kind")]
fn retry_as_new(gate: &Gate, _: &crate::gate::Socket, event: packets::Event) -> Vec<packets::Out> {
    let id = event.text("clientMsgId");
    let is_retry =
        event.name == "sendMessage" && gate.remember(format!("stored {id}"), true).is_some();
    let is_known = gate.recall(&format!("sent {}", id.to_lowercase())).is_some();
    if !is_retry && !is_known {
        return vec![event.up()];
    }
    let own = Uuid::new_v4().to_string();
    gate.remember(format!("first of {own}"), id);
    vec![event.up_changed("clientMsgId", own)]
}

fn first_of(gate: &Gate, id: &Value) -> Value {
    gate.recall(&format!("first of {}", id.as_str().unwrap_or_default()))
        .unwrap_or_else(|| id.clone())
}

#[expect(clippy::needless_pass_by_value, reason = "the type of all mutants of this kind")]
fn first_id(gate: &Gate, _: &crate::gate::Socket, message: packets::Message) -> Vec<packets::Out> {
    message.down_with("clientMsgId", first_of(gate, &message.0["clientMsgId"]))
}

fn first_id_in_ack(
    gate: &Gate,
    _: &crate::gate::Socket,
    mut ack: packets::Ack,
) -> Vec<packets::Out> {
    if ack.body["clientMsgId"].is_string() {
        ack.body["clientMsgId"] = first_of(gate, &ack.body["clientMsgId"]);
    }
    vec![ack.on()]
}

fn first_ids(gate: &Gate, asked: &crate::proxy::Asked, reply: &mut crate::proxy::Reply) {
    if asked.is("GET", "/rooms/*/messages") && reply.status == 200 {
        let mut page = reply.list();
        for message in &mut page {
            message["clientMsgId"] = first_of(gate, &message["clientMsgId"]);
        }
        reply.set(&Value::Array(page));
    }
}

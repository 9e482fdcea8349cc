//! Retries that are not known as such, and messages that are taken for retries.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Fault::{Ack, Delivery, Event, Reply},
    Mutant,
    history::page,
    is_shouted,
};
use crate::{
    gate::{Gate, Socket},
    packets::{self, Out},
    proxy::Asked,
};

pub(super) const MUTANTS: &[Mutant] = &[
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
                page(asked, reply, |_, page| {
                    for message in page {
                        let id = message["clientMsgId"].as_str().unwrap_or_default().to_lowercase();
                        message["content"] = gate.recall(&id).unwrap_or_default();
                    }
                });
            }),
        ],
    },
    Mutant {
        name: "stores-retries-from-shouted-rooms-again",
        faults: &[
            Event(|gate, socket, event| {
                some_as_new(gate, socket, event, |_, event| is_shouted(event.text("roomId")))
            }),
            Ack(first_id_in_ack),
            Delivery(first_id),
            Reply(first_ids),
        ],
    },
    Mutant {
        name: "stores-retries-over-polling-again",
        faults: &[
            Event(|gate, socket, event| {
                some_as_new(gate, socket, event, |socket, _| socket.polls())
            }),
            Ack(first_id_in_ack),
            Delivery(first_id),
            Reply(first_ids),
        ],
    },
    Mutant {
        name: "stores-retries-that-want-no-ack-again",
        faults: &[
            Event(|gate, socket, event| {
                some_as_new(gate, socket, event, |_, event| event.ack_id.is_none())
            }),
            Ack(first_id_in_ack),
            Delivery(first_id),
            Reply(first_ids),
        ],
    },
    Mutant {
        name: "stores-retries-of-images-again",
        faults: &[
            Event(|gate, socket, event| {
                some_as_new(gate, socket, event, |_, event| event.text("type") == "IMAGE")
            }),
            Ack(first_id_in_ack),
            Delivery(first_id),
            Reply(first_ids),
        ],
    },
    Mutant {
        name: "takes-what-was-malformed-for-sent",
        faults: &[
            Event(|gate, _, event| {
                let key = format!("bad {}", event.text("clientMsgId"));
                let was_bad = event.name == "sendMessage" && gate.recall(&key).is_some();
                let is_good = !event.text("content").is_empty() && event.text("type").is_empty();
                if was_bad && is_good {
                    return event.answer(&event.accepted());
                }
                vec![event.up()]
            }),
            Ack(|gate, _, ack| {
                if ack.body["error"] == "Invalid message format" {
                    gate.remember(format!("bad {}", ack.event.text("clientMsgId")), true);
                }
                vec![ack.on()]
            }),
        ],
    },
];

/// A message that was sent before goes on under another id.
#[expect(clippy::needless_pass_by_value, reason = "the type of all mutants of this kind")]
fn retry_as_new(gate: &Gate, _: &Socket, event: packets::Event) -> Vec<Out> {
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
fn first_id(gate: &Gate, _: &Socket, message: packets::Message) -> Vec<Out> {
    message.down_with("clientMsgId", first_of(gate, &message.0["clientMsgId"]))
}

fn first_id_in_ack(gate: &Gate, _: &Socket, mut ack: packets::Ack) -> Vec<Out> {
    if ack.body["clientMsgId"].is_string() {
        ack.body["clientMsgId"] = first_of(gate, &ack.body["clientMsgId"]);
    }
    vec![ack.on()]
}

fn first_ids(gate: &Gate, asked: &Asked, reply: &mut crate::proxy::Reply) {
    page(asked, reply, |_, page| {
        for message in page {
            message["clientMsgId"] = first_of(gate, &message["clientMsgId"]);
        }
    });
}

/// The same if `is_meant`, for this socket and event.
fn some_as_new(
    gate: &Gate,
    socket: &Socket,
    event: packets::Event,
    is_meant: fn(&Socket, &packets::Event) -> bool,
) -> Vec<Out> {
    let key = format!("sent {}", event.text("clientMsgId").to_lowercase());
    let is_retry = event.name == "sendMessage" && gate.remember(key, true).is_some();
    if is_retry && is_meant(socket, &event) {
        return retry_as_new(gate, socket, event);
    }
    vec![event.up()]
}

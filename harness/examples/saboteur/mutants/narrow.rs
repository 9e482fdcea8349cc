//! Faults that meet only one spelling, transport or kind of message.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Fault::{Ack, Delivery, Event, Reply as OfReply},
    Mutant,
    deliveries::others,
};
use crate::{
    gate::{Gate, Socket, user_of},
    packets::{self, Message, Out},
    proxy::{Asked, Reply},
};

fn is_polling(socket: &Socket) -> bool {
    socket.known().pipes.is_none()
}

fn is_shouted(id: &str) -> bool {
    id != id.to_lowercase()
}

/// Whether it is a send of a message that was sent before, with or without an ack.
fn is_retry(gate: &Gate, event: &packets::Event) -> bool {
    let key = format!("sent {} {}", event.text("roomId"), event.text("clientMsgId"));
    event.name == "sendMessage" && gate.remember(key.to_lowercase(), true).is_some()
}

/// Stores it again, under an id that nobody sees.
fn again(gate: &Gate, event: &packets::Event) -> Vec<Out> {
    let own = Uuid::new_v4().to_string();
    gate.remember(format!("first of {own}"), event.text("clientMsgId"));
    vec![event.up_changed("clientMsgId", own)]
}

fn first_of(gate: &Gate, id: &Value) -> Value {
    let key = format!("first of {}", id.as_str().unwrap_or_default());
    gate.recall(&key).unwrap_or_else(|| id.clone())
}

fn first_id(gate: &Gate, _: &Socket, mut message: Message) -> Vec<Out> {
    message.0["clientMsgId"] = first_of(gate, &message.0["clientMsgId"]);
    vec![message.down()]
}

fn first_id_in_ack(gate: &Gate, _: &Socket, mut ack: packets::Ack) -> Vec<Out> {
    if ack.body["clientMsgId"].is_string() {
        ack.body["clientMsgId"] = first_of(gate, &ack.body["clientMsgId"]);
    }
    vec![ack.on()]
}

fn first_ids(gate: &Gate, asked: &Asked, reply: &mut Reply) {
    each_stored(asked, reply, |message| {
        message["clientMsgId"] = first_of(gate, &message["clientMsgId"]);
    });
}

fn each_stored(asked: &Asked, reply: &mut Reply, change: impl Fn(&mut Value)) {
    if asked.is("GET", "/rooms/*/messages") && reply.status == 200 {
        let mut page = reply.list();
        page.iter_mut().for_each(change);
        reply.set(&Value::Array(page));
    }
}

/// `createdAt`, changed everywhere.
fn with_time(message: &mut Value, change: fn(&str) -> String) {
    message["createdAt"] = change(message["createdAt"].as_str().unwrap_or_default()).into();
}

fn whole_second(time: &str) -> String {
    format!("{}.000Z", &time[..19])
}

/// The same second of the minute before, or at the full hour after.
fn another_minute(time: &str) -> String {
    let minute: u32 = time[14..16].parse().unwrap_or_default();
    format!("{}{:02}{}", &time[..14], minute.checked_sub(1).unwrap_or(1), &time[16..])
}

/// A mutant that stores some retries again.
macro_rules! stores_again {
    ($name:literal, $which:expr) => {
        Mutant {
            name: $name,
            faults: &[
                Event(|gate, socket, event| {
                    let which: fn(&Socket, &packets::Event) -> bool = $which;
                    let is_meant = is_retry(gate, &event) && which(socket, &event);
                    if is_meant { again(gate, &event) } else { vec![event.up()] }
                }),
                Ack(first_id_in_ack),
                Delivery(first_id),
                OfReply(first_ids),
            ],
        }
    };
}

pub(super) const MUTANTS: &[Mutant] = &[
    stores_again!("stores-retries-from-shouted-rooms-again", |_, it| is_shouted(it.text("roomId"))),
    stores_again!("stores-retries-over-polling-again", |socket, _| is_polling(socket)),
    stores_again!("stores-retries-that-want-no-ack-again", |_, event| event.ack_id.is_none()),
    stores_again!("stores-retries-of-images-again", |_, event| event.text("type") == "IMAGE"),
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
    Mutant {
        name: "delivers-once-for-each-spelling-of-the-join",
        faults: &[
            Event(|gate, socket, event| {
                let room = event.text("roomId");
                if event.name == "joinRoom" && is_shouted(room) {
                    gate.remember(format!("{} {}", socket.number, room.to_lowercase()), true);
                }
                vec![event.up()]
            }),
            Delivery(|gate, socket, message| {
                let room = message.text("roomId");
                let is_twice = gate.recall(&format!("{} {room}", socket.number)).is_some();
                vec![message.down(); if is_twice { 2 } else { 1 }]
            }),
        ],
    },
    Mutant {
        name: "leaves-only-in-the-spelling-of-the-join",
        faults: &[Event(|gate, socket, event| {
            let room = event.text("roomId");
            let key = format!("{} {}", socket.number, room.to_lowercase());
            match event.name.as_str() {
                "joinRoom" => drop(gate.remember(key, room)),
                "leaveRoom" if gate.recall(&key).is_some_and(|joined| joined != room) => {
                    return event.answer(&json!({"success": true}));
                }
                _ => {}
            }
            vec![event.up()]
        })],
    },
    Mutant {
        name: "hangs-up-at-long-posts",
        faults: &[Event(|_, socket, event| {
            // The gateway takes a post without a packet for the end.
            let is_lost = is_polling(socket) && event.text("content").len() > 2_000;
            if is_lost { vec![] } else { vec![event.up()] }
        })],
    },
    Mutant {
        name: "forgets-what-is-sent-during-the-upgrade",
        faults: &[Event(|_, socket, event| {
            if event.name == "sendMessage" && socket.known().is_upgrading {
                return event.answer(&event.accepted());
            }
            vec![event.up()]
        })],
    },
    Mutant {
        name: "cuts-images-at-255",
        faults: &[Event(|_, _, event| {
            let content: String = event.text("content").chars().take(255).collect();
            let is_long =
                event.text("type") == "IMAGE" && content.len() < event.text("content").len();
            vec![if is_long { event.up_changed("content", content) } else { event.up() }]
        })],
    },
    Mutant {
        name: "is-heard-again-after-a-leave-and-a-join-over-http",
        faults: &[
            Delivery(|gate, _, message| {
                let room = message.text("roomId");
                let is_back = |socket: &Socket| {
                    let key = format!("back {} {room}", socket.user().unwrap_or_default());
                    socket.known().all_rooms.contains(room) && gate.recall(&key).is_some()
                };
                for socket in others(gate, &message).filter(|it| is_back(it)) {
                    socket.known().heard.insert(message.text("messageId").to_owned());
                    socket.push(message.packet());
                }
                vec![message.down()]
            }),
            OfReply(|gate, asked, reply| {
                let Some(user) = asked.authorization().and_then(user_of) else { return };
                let room = asked.part(2).to_lowercase();
                if asked.is("POST", "/rooms/*/leave") && reply.status == 204 {
                    gate.remember(format!("gone {user} {room}"), true);
                }
                let was_gone = gate.recall(&format!("gone {user} {room}")).is_some();
                if asked.is("POST", "/rooms/*/join") && reply.status == 201 && was_gone {
                    gate.remember(format!("back {user} {room}"), true);
                }
            }),
        ],
    },
    Mutant {
        name: "has-the-time-of-another-minute",
        faults: &[
            Delivery(|_, _, mut message| {
                with_time(&mut message.0, another_minute);
                vec![message.down()]
            }),
            OfReply(|_, asked, reply| {
                each_stored(asked, reply, |it| with_time(it, another_minute));
            }),
        ],
    },
    Mutant {
        name: "has-whole-seconds",
        faults: &[
            Delivery(|_, _, mut message| {
                with_time(&mut message.0, whole_second);
                vec![message.down()]
            }),
            OfReply(|_, asked, reply| {
                each_stored(asked, reply, |it| with_time(it, whole_second));
            }),
        ],
    },
    Mutant {
        name: "lists-devices-of-no-real-server",
        faults: &[OfReply(|_, asked, reply| {
            if asked.is("GET", "/users/*/presence") && reply.status == 200 {
                let mut body = reply.json();
                for socket in body["sockets"].as_array_mut().into_iter().flatten() {
                    socket["serverId"] = json!("localhost");
                }
                reply.set(&body);
            }
        })],
    },
    Mutant {
        name: "has-no-presence-of-shouted-users",
        faults: &[OfReply(|_, asked, reply| {
            if asked.is("GET", "/users/*/presence") && is_shouted(asked.part(2)) {
                reply.set(&json!({"online": false, "sockets": []}));
            }
        })],
    },
    Mutant {
        name: "has-no-history-where-nothing-was-said",
        faults: &[OfReply(|_, asked, reply| {
            let is_page = asked.is("GET", "/rooms/*/messages") && reply.status == 200;
            if is_page && reply.list().is_empty() && !asked.target.contains('?') {
                reply.status = 404;
                let body =
                    json!({"statusCode": 404, "error": "Not Found", "message": "No messages"});
                reply.set(&body);
            }
        })],
    },
    Mutant {
        name: "has-pages-before-of-at-most-fifty",
        faults: &[OfReply(|_, asked, reply| {
            let is_page = asked.is("GET", "/rooms/*/messages") && reply.status == 200;
            if is_page && asked.value("before").is_some() && reply.list().len() > 50 {
                let page = reply.list();
                reply.set(&json!(page[page.len() - 50..]));
            }
        })],
    },
];

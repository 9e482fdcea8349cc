//! Rooms that leak, and joins and leaves that are not what they seem.

use std::sync::Arc;

use serde_json::json;

use super::{
    Fault::{Ack, Delivery, Down, Event, Reply},
    Mutant,
    deliveries::others,
    is_shouted,
};
use crate::{
    gate::{Gate, Socket, user_of},
    packets::Out,
};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "leaks-to-sockets-that-never-joined",
        faults: &[Delivery(|gate, _, message| {
            let strangers = others(gate, &message)
                .filter(|socket| !socket.known().all_rooms.contains(message.text("roomId")));
            tell(strangers, &message);
            vec![message.down()]
        })],
    },
    Mutant {
        name: "leaks-to-other-devices-of-members",
        faults: &[Delivery(|gate, socket, message| {
            let (user, number) = (socket.user(), socket.number);
            let devices = others(gate, &message)
                .filter(|other| other.number != number && other.user() == user);
            tell(devices, &message);
            vec![message.down()]
        })],
    },
    Mutant {
        name: "delivers-on-after-a-leave",
        faults: &[Event(|_, _, event| {
            if event.name == "leaveRoom" && event.text("roomId").len() == 36 {
                return event.answer(&json!({"success": true}));
            }
            vec![event.up()]
        })],
    },
    Mutant {
        name: "delivers-on-after-a-removal",
        faults: &[Delivery(|gate, _, message| {
            let former = others(gate, &message)
                .filter(|socket| socket.known().rooms.contains(message.text("roomId")));
            tell(former, &message);
            vec![message.down()]
        })],
    },
    Mutant {
        name: "removes-only-the-newest-socket",
        faults: &[
            Delivery(|gate, _, message| {
                let room = message.text("roomId");
                let former: Vec<_> = others(gate, &message)
                    .filter(|it| it.known().rooms.contains(room) && has_left(gate, it, room))
                    .collect();
                let is_older = |socket: &Arc<Socket>| {
                    let user = socket.user();
                    former.iter().any(|it| it.user() == user && it.number > socket.number)
                };
                tell(former.iter().filter(|it| is_older(it)).cloned(), &message);
                vec![message.down()]
            }),
            Reply(|gate, asked, reply| {
                if asked.is("POST", "/rooms/*/leave")
                    && reply.status == 204
                    && let Some(user) = asked.authorization().and_then(user_of)
                {
                    gate.remember(format!("{user} is out of {}", asked.part(2)), true);
                }
            }),
        ],
    },
    Mutant {
        name: "leaves-with-all-devices",
        faults: &[
            Delivery(|gate, socket, message| {
                let left = format!("{:?} left {}", socket.user(), message.text("roomId"));
                if gate.recall(&left).is_some() { vec![] } else { vec![message.down()] }
            }),
            Event(|gate, socket, event| {
                if event.name == "leaveRoom" {
                    gate.remember(
                        format!("{:?} left {}", socket.user(), event.text("roomId")),
                        true,
                    );
                }
                vec![event.up()]
            }),
        ],
    },
    Mutant {
        name: "leaves-all-rooms-at-once",
        faults: &[Event(|_, socket, event| {
            let mut outs = vec![event.up()];
            if event.name == "leaveRoom" {
                for room in &socket.known().rooms {
                    outs.push(Out::Up(format!("42{}", json!(["leaveRoom", {"roomId": room}]))));
                }
            }
            outs
        })],
    },
    Mutant {
        name: "needs-as-many-leaves-as-joins",
        faults: &[Event(|gate, socket, event| {
            let key = format!("{} in {}", socket.number, event.text("roomId"));
            let joins = gate.recall(&key).and_then(|joins| joins.as_i64()).unwrap_or_default();
            match event.name.as_str() {
                "joinRoom" => drop(gate.remember(key, joins + 1)),
                "leaveRoom" => {
                    gate.remember(key, joins - 1);
                    if joins > 1 {
                        return event.answer(&json!({"success": true}));
                    }
                }
                _ => {}
            }
            vec![event.up()]
        })],
    },
    Mutant {
        name: "joins-only-in-the-ack",
        faults: &[Event(|gate, _, event| {
            if event.name == "joinRoom"
                && gate.next().is_multiple_of(20)
                && event.text("roomId").len() == 36
            {
                return event.answer(&json!({"success": true}));
            }
            vec![event.up()]
        })],
    },
    Mutant {
        name: "lets-strangers-join",
        faults: &[Ack(|_, _, mut ack| {
            if ack.event.name == "joinRoom" && ack.body["error"] == "Not a member of this room" {
                ack.body = json!({"success": true});
            }
            vec![ack.on()]
        })],
    },
    Mutant {
        name: "throws-out-who-joins-twice",
        faults: &[Event(|_, socket, event| {
            let is_again =
                event.name == "joinRoom" && socket.known().rooms.contains(event.text("roomId"));
            if is_again {
                let leave = Out::Up(format!("42{}", json!(["leaveRoom", event.payload])));
                return [vec![leave], event.answer(&json!({"success": true}))].concat();
            }
            vec![event.up()]
        })],
    },
    Mutant {
        name: "keeps-rooms-over-reconnects",
        faults: &[
            Event(|gate, socket, event| {
                if event.name == "joinRoom"
                    && let Some(user) = socket.user()
                {
                    gate.remember(format!("room of {user}"), event.text("roomId"));
                }
                vec![event.up()]
            }),
            Down(|gate, socket, packet| {
                let is_welcome = packet.starts_with("40");
                let room = socket.user().and_then(|user| gate.recall(&format!("room of {user}")));
                let mut outs = vec![Out::Down(packet)];
                if let (true, Some(room)) = (is_welcome, room) {
                    outs.push(Out::Up(format!("42{}", json!(["joinRoom", {"roomId": room}]))));
                }
                outs
            }),
        ],
    },
    Mutant {
        name: "sends-only-for-who-has-joined",
        faults: &[Event(|_, socket, event| {
            let room = event.text("roomId").to_lowercase();
            if event.name == "sendMessage"
                && room.len() == 36
                && !socket.known().rooms.contains(&room)
            {
                return event.answer(&event.failed("Not a member of this room"));
            }
            vec![event.up()]
        })],
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
            Reply(|gate, asked, reply| {
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
];

/// Whether its user has left the room over HTTP.
fn has_left(gate: &Gate, socket: &Socket, room: &str) -> bool {
    let user = socket.user().unwrap_or_default();
    gate.recall(&format!("{user} is out of {room}")).is_some()
}

fn tell(
    sockets: impl Iterator<Item = std::sync::Arc<crate::gate::Socket>>,
    message: &crate::packets::Message,
) {
    for socket in sockets {
        socket.known().heard.insert(message.text("messageId").to_owned());
        socket.push(message.packet());
    }
}

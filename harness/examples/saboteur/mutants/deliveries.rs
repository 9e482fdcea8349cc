//! Messages lost, doubled, reordered and late.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Fault::{Delivery, Down},
    Mutant, dice,
};
use crate::{
    gate::{Gate, Socket},
    packets::{Message, Out},
};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "loses-one-delivery-in-all",
        faults: &[Delivery(|gate, socket, message| {
            // To who surely must hear it: of a join that nobody answered it is not known since when it holds.
            let is_in = socket.known().rooms.contains(message.text("roomId"));
            let is_lost = is_in && gate.remember("lost", true).is_none();
            if is_lost { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "loses-every-tenth-delivery-to-who-wanted-no-ack",
        faults: &[Delivery(|gate, socket, message| {
            let is_in = socket.known().rooms.contains(message.text("roomId"));
            let is_lost = !is_in && gate.next().is_multiple_of(10);
            if is_lost { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "loses-every-tenth-delivery",
        faults: &[Delivery(|gate, _, message| {
            if gate.next().is_multiple_of(10) { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "loses-one-delivery-of-fifty",
        faults: &[Delivery(|_, socket, message| {
            let is_lost = dice(&format!("{}{}", message.text("messageId"), socket.number), 50) == 0;
            if is_lost { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "loses-one-broadcast-of-fifty",
        faults: &[Delivery(|_, _, message| {
            if dice(message.text("messageId"), 50) == 0 { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "loses-the-senders-own-copy",
        faults: &[Delivery(|_, socket, message| {
            let is_own = socket.user().as_deref() == Some(message.text("senderId"));
            if is_own { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "loses-the-first-message-after-a-join",
        faults: &[Delivery(|_, socket, message| {
            let is_first = socket.known().heard.len() == 1;
            if is_first { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "loses-the-second-message-of-a-second-device",
        faults: &[Delivery(|gate, socket, message| {
            let user = socket.user();
            let is_second = gate
                .sockets()
                .iter()
                .any(|other| other.user() == user && other.number < socket.number);
            let is_lost = is_second && socket.known().heard.len() == 2;
            if is_lost { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "loses-images",
        faults: &[Delivery(|_, _, message| {
            if message.text("type") == "IMAGE" { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "loses-long-messages",
        faults: &[Delivery(|_, _, message| {
            if message.text("content").len() > 4_000 { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "loses-what-comes-during-the-upgrade",
        faults: &[Delivery(|gate, socket, message| {
            for other in gate.sockets().iter().filter(|other| other.number != socket.number) {
                if other.known().is_upgrading {
                    gate.remember(format!("{} {}", other.number, message.text("messageId")), true);
                }
            }
            let is_lost =
                gate.recall(&format!("{} {}", socket.number, message.text("messageId"))).is_some();
            if is_lost { vec![] } else { vec![message.down()] }
        })],
    },
    Mutant {
        name: "doubles-every-tenth-delivery",
        faults: &[Delivery(|gate, _, message| {
            vec![message.down(); if gate.next().is_multiple_of(10) { 2 } else { 1 }]
        })],
    },
    Mutant {
        name: "doubles-one-of-fifty-a-moment-later",
        faults: &[Delivery(|_, _, message| {
            let mut outs = vec![message.down()];
            if dice(message.text("messageId"), 50) == 0 {
                outs.push(Out::DownLater(Duration::from_millis(40), message.packet()));
            }
            outs
        })],
    },
    Mutant {
        name: "doubles-each-delivery-a-tenth-of-a-second-later",
        faults: &[Delivery(|_, _, message| {
            let again = Out::DownLater(Duration::from_millis(110), message.packet());
            vec![message.down(), again]
        })],
    },
    Mutant {
        name: "doubles-with-a-new-id",
        faults: &[Delivery(|_, _, message| {
            let mut outs = vec![message.down()];
            outs.extend(message.down_with("messageId", json!(Uuid::now_v7())));
            outs
        })],
    },
    Mutant {
        name: "reorders-two",
        faults: &[Delivery(|gate, socket, message| {
            swap(socket, &message, gate.next().is_multiple_of(10))
        })],
    },
    Mutant {
        name: "reorders-only-with-many-in-flight",
        faults: &[Delivery(|_, socket, message| {
            let is_busy = socket.known().heard.len() > 200;
            swap(socket, &message, is_busy && dice(message.text("messageId"), 20) == 0)
        })],
    },
    Mutant {
        name: "has-ids-that-fall",
        faults: &[Delivery(|_, _, message| {
            let id = Uuid::try_parse(message.text("messageId")).unwrap_or_default();
            // The bits of the time turned over.
            let fallen = Uuid::from_u128(id.as_u128() ^ (0xffff_ffff_ffff << 80));
            message.down_with("messageId", json!(fallen))
        })],
    },
    Mutant {
        name: "delivers-three-seconds-late",
        faults: &[Delivery(|_, _, message| {
            vec![Out::DownLater(Duration::from_secs(3), message.packet())]
        })],
    },
    Mutant {
        name: "delivers-one-of-twenty-three-seconds-late",
        faults: &[Delivery(|_, _, message| {
            if dice(message.text("messageId"), 20) == 0 {
                return vec![Out::DownLater(Duration::from_secs(3), message.packet())];
            }
            vec![message.down()]
        })],
    },
    Mutant {
        name: "delivers-as-another-event",
        faults: &[Delivery(|_, _, message| {
            vec![Out::Down(format!("42{}", json!(["message", message.0])))]
        })],
    },
    Mutant {
        name: "delivers-a-list-of-messages",
        faults: &[Delivery(|_, _, message| {
            vec![Out::Down(format!("42{}", json!(["newMessage", [message.0]])))]
        })],
    },
    Mutant {
        name: "delivers-to-another-room",
        faults: &[Delivery(|_, socket, message| {
            let other =
                socket.known().rooms.iter().find(|room| *room != message.text("roomId")).cloned();
            let room = other.unwrap_or_else(|| message.text("roomId").to_owned());
            message.down_with("roomId", room)
        })],
    },
    Mutant {
        name: "delivers-what-nobody-sent",
        faults: &[Delivery(|gate, _, message| {
            let mut outs = vec![message.down()];
            if gate.next().is_multiple_of(7) {
                let mut made_up = message.clone();
                made_up.0["messageId"] = json!(Uuid::now_v7());
                made_up.0["clientMsgId"] = json!(Uuid::new_v4());
                outs.push(made_up.down());
            }
            outs
        })],
    },
    Mutant {
        name: "replays-old-messages-at-the-join",
        faults: &[
            Delivery(|gate, _, message| {
                gate.remember(format!("last in {}", message.text("roomId")), message.packet());
                vec![message.down()]
            }),
            Down(|gate, socket, packet| {
                let last = packet.starts_with("43").then(|| {
                    let known = socket.known();
                    known.rooms.iter().find_map(|room| gate.recall(&format!("last in {room}")))
                });
                let mut outs = vec![Out::Down(packet)];
                if let Some(Some(Value::String(last))) = last
                    && socket.known().heard.is_empty()
                    && gate.remember(format!("replayed {}", socket.number), true).is_none()
                {
                    outs.push(Out::Down(last));
                }
                outs
            }),
        ],
    },
    Mutant {
        name: "doubles-each-delivery-three-seconds-later",
        faults: &[Delivery(|_, _, message| {
            vec![message.down(), Out::DownLater(Duration::from_secs(3), message.packet())]
        })],
    },
];

/// Holds a message back until the next one has gone.
fn swap(socket: &Socket, message: &Message, is_held: bool) -> Vec<Out> {
    let mut known = socket.known();
    match known.held.take() {
        Some(held) => vec![message.down(), Out::Down(held)],
        None if is_held => {
            known.held = Some(message.packet());
            vec![]
        }
        None => vec![message.down()],
    }
}

/// Who is here to hear what is not for them.
pub(super) fn others<'g>(
    gate: &'g Gate,
    message: &'g Message,
) -> impl Iterator<Item = std::sync::Arc<Socket>> + 'g {
    let id = message.text("messageId");
    gate.sockets().into_iter().filter(move |socket| {
        let known = socket.known();
        known.id.is_some() && known.pipes.is_some() && !known.heard.contains(id)
    })
}

//! The layer below the events: pings, frames, what a session is promised when it opens.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Fault::{Background, Down, Event, Up},
    Mutant,
};
use crate::{gate::Gate, packets::Out};

const PING: &str = "2";
const PONG: &str = "3";

/// How often one that cannot stop pinging does so.
const EVERY: Duration = Duration::from_millis(100);

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "never-pings",
        faults: &[Down(|_, _, packet| {
            let out = if packet == PING { Out::Up(PONG.to_owned()) } else { Out::Down(packet) };
            vec![out]
        })],
    },
    Mutant {
        name: "pings-all-the-time",
        faults: &[
            Background(|gate| Box::pin(ping(gate))),
            // The gateway's own pings are answered here, so that it is not surprised by the pongs.
            Down(|_, _, packet| {
                let out = if packet == PING { Out::Up(PONG.to_owned()) } else { Out::Down(packet) };
                vec![out]
            }),
            Up(|_, _, packet| if packet == PONG { vec![] } else { vec![Out::Up(packet)] }),
        ],
    },
    Mutant {
        name: "announces-another-interval",
        faults: &[Down(|_, _, packet| vec![Out::Down(opened(packet, "pingInterval", 1_000))])],
    },
    Mutant {
        name: "announces-another-timeout",
        faults: &[Down(|_, _, packet| vec![Out::Down(opened(packet, "pingTimeout", 1_000))])],
    },
    Mutant {
        name: "hangs-up-at-long-posts",
        faults: &[Event(|_, socket, event| {
            // The gateway takes a post without a packet for the end.
            let is_lost = socket.polls() && event.text("content").len() > 2_000;
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
];

async fn ping(gate: Arc<Gate>) {
    loop {
        sleep(EVERY).await;
        for socket in gate.sockets() {
            if socket.known().id.is_some() {
                socket.push(PING.to_owned());
            }
        }
    }
}

/// A packet that opens a session, with so many milliseconds more in this field.
fn opened(packet: String, field: &str, more: u64) -> String {
    let open: Option<Value> =
        packet.strip_prefix('0').and_then(|open| serde_json::from_str(open).ok());
    let Some(mut open) = open else { return packet };
    open[field] = json!(open[field].as_u64().unwrap_or_default() + more);
    format!("0{open}")
}

//! Who is let in, and how others are turned away.

use std::time::Duration;

use serde_json::json;

use super::{
    Fault::{Ack, Delivery, Down, Up},
    Mutant,
};
use crate::{
    gate::{token_of, user_of},
    packets::Out,
};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "never-answers-the-probe-of-an-upgrade",
        faults: &[Down(
            |_, _, packet| {
                if packet == "3probe" { vec![] } else { vec![Out::Down(packet)] }
            },
        )],
    },
    Mutant {
        name: "lets-expired-tokens-in",
        faults: &[Up(|_, _, packet| {
            let auth: serde_json::Value = packet
                .strip_prefix("40")
                .and_then(|auth| serde_json::from_str(auth).ok())
                .unwrap_or_default();
            let is_bad = auth["token"]
                .as_str()
                .is_some_and(|token| token.matches('.').count() == 2 && user_of(token).is_none());
            vec![Out::Up(if is_bad { good() } else { packet })]
        })],
    },
    Mutant {
        name: "lets-devices-without-a-token-in",
        faults: &[Up(|_, socket, packet| {
            let is_bare = packet == "40" || packet == "40{}" || packet.contains(r#""token":"""#);
            vec![Out::Up(if is_bare && socket.user().is_none() { good() } else { packet })]
        })],
    },
    Mutant {
        name: "lets-numbers-in-as-tokens",
        faults: &[Up(|_, _, packet| {
            vec![Out::Up(if packet.contains(r#""token":7"#) { good() } else { packet })]
        })],
    },
    Mutant {
        name: "lets-anybody-into-any-namespace",
        faults: &[Down(|_, _, packet| {
            let namespace = packet.strip_prefix("44/").and_then(|rest| rest.split_once(','));
            let out = match namespace {
                Some((name, _)) => format!("40/{name},{{\"sid\":\"another\"}}"),
                None => packet,
            };
            vec![Out::Down(out)]
        })],
    },
    Mutant {
        name: "says-goodbye-without-a-welcome",
        faults: &[Down(|_, socket, packet| {
            let is_welcome = packet.starts_with("40") && socket.user().is_none();
            if is_welcome { vec![] } else { vec![Out::Down(packet)] }
        })],
    },
    Mutant {
        name: "says-goodbye-late",
        faults: &[Down(|_, socket, packet| {
            if packet == "41" && socket.user().is_none() {
                return vec![Out::DownLater(Duration::from_millis(1_500), packet)];
            }
            vec![Out::Down(packet)]
        })],
    },
    Mutant {
        name: "refuses-with-a-connect-error",
        faults: &[Down(|_, socket, packet| {
            if socket.user().is_some() {
                return vec![Out::Down(packet)];
            }
            match packet.as_str() {
                "41" => vec![],
                it if it.starts_with("40") => {
                    vec![Out::Down(r#"44{"message":"Not authenticated"}"#.to_owned())]
                }
                _ => vec![Out::Down(packet)],
            }
        })],
    },
    Mutant {
        name: "closes-the-transport-with-the-goodbye",
        faults: &[Down(|_, socket, packet| {
            if packet == "41" && socket.user().is_none() {
                // The device hears the goodbye, and then the end.
                socket.push(packet);
                return vec![Out::Close];
            }
            vec![Out::Down(packet)]
        })],
    },
    Mutant {
        name: "drops-a-connection-after-a-while",
        faults: &[Ack(|gate, _, ack| {
            let mut outs = vec![ack.on()];
            if gate.next().is_multiple_of(15) {
                outs.push(Out::Close);
            }
            outs
        })],
    },
    Mutant {
        name: "dismisses-a-socket-after-a-while",
        faults: &[Delivery(|gate, _, message| {
            let mut outs = vec![message.down()];
            if gate.next().is_multiple_of(15) {
                outs.push(Out::Down("41".to_owned()));
            }
            outs
        })],
    },
    Mutant {
        name: "allows-one-device-for-each-user",
        faults: &[Down(|gate, socket, packet| {
            if packet.starts_with("40")
                && let Some(user) = socket.user()
            {
                for other in gate.sockets() {
                    if other.number != socket.number
                        && other.user().as_ref() == Some(&user)
                        && other.known().id.is_some()
                    {
                        other.push("41".to_owned());
                    }
                }
            }
            vec![Out::Down(packet)]
        })],
    },
    Mutant {
        name: "welcomes-with-an-extra-field",
        faults: &[Down(|_, _, packet| {
            match packet
                .strip_prefix("40")
                .and_then(|it| serde_json::from_str::<serde_json::Value>(it).ok())
            {
                Some(hello) => {
                    vec![Out::Down(format!("40{}", json!({"sid": hello["sid"], "pid": "x"})))]
                }
                None => vec![Out::Down(packet)],
            }
        })],
    },
    Mutant {
        name: "connects-the-namespace-twice",
        faults: &[Down(|_, _, packet| {
            let times = if packet.starts_with("40") { 2 } else { 1 };
            vec![Out::Down(packet); times]
        })],
    },
];

fn good() -> String {
    format!("40{}", json!({"token": token_of(&uuid::Uuid::new_v4().to_string())}))
}

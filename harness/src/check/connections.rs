//! Connections last: once a device is served, only its own goodbye or a fault ends its connection.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::Finding;
use crate::history::{ConnectionId, History, What, moment};

/// A device that leaves a ping unanswered for so long may be taken for dead.
const PONG: Duration = Duration::from_millis(100);

/// One connection, as far as it has come.
#[derive(Default)]
struct Known {
    device: String,
    /// Of Socket.IO.
    socket: Option<String>,
    /// Something was acknowledged, or its presence was seen, so its token was good.
    is_served: bool,
    /// When it was pinged and has not answered yet.
    pinged: Option<Duration>,
    /// The device said goodbye, or something that ends connections, or it was told already.
    is_excused: bool,
}

pub(super) fn stays_connected(history: &History, findings: &mut Vec<Finding>) {
    let mut connections: BTreeMap<ConnectionId, Known> = BTreeMap::new();
    let mut broken = BTreeSet::new();
    for entry in history.entries() {
        match &entry.what {
            What::Opened { connection, device, .. } => {
                let known = Known { device: device.clone(), ..Known::default() };
                // A device that connects again has given its earlier connections up.
                let earlier = connections.values_mut().filter(|it| it.device == *device);
                earlier.for_each(|it| it.is_excused = true);
                connections.insert(*connection, known);
            }
            What::Sent { connection, packet } => {
                if let Some(known) = connections.get_mut(connection) {
                    known.is_excused |= is_goodbye(packet);
                    if packet == "3" {
                        known.pinged = None;
                    }
                }
            }
            What::Received { connection, packet } => {
                let Some(known) = connections.get_mut(connection) else { continue };
                known.is_served |= packet.starts_with("43");
                if packet == "2" {
                    known.pinged = Some(entry.at);
                }
                if let Some(hello) = packet.strip_prefix("40") {
                    let hello: serde_json::Value = serde_json::from_str(hello).unwrap_or_default();
                    known.socket = hello["sid"].as_str().map(str::to_owned);
                }
                if packet == "41" || packet == "1" {
                    ended(known, &broken, entry.at, "was dismissed", findings);
                }
            }
            What::Closed { connection, by_gateway } => {
                if let Some(known) = connections.get_mut(connection) {
                    known.is_excused |= !by_gateway;
                    ended(known, &broken, entry.at, "lost its connection", findings);
                }
            }
            What::Presence { sockets, .. } => {
                for known in connections.values_mut() {
                    known.is_served |= known.socket.as_ref().is_some_and(|id| sockets.contains(id));
                }
            }
            // A process that has failed may take connections with it, also a while later.
            What::Broken { what, .. } => drop(broken.insert(what.clone())),
            What::GivenUp { .. }
            | What::Called { .. }
            | What::Step { .. }
            | What::Mended { .. }
            | What::Died { .. }
            | What::Rows { .. }
            | What::Kept { .. }
            | What::Unreadable { .. }
            | What::Stored { .. } => {}
        }
    }
}

fn ended(
    known: &mut Known,
    broken: &BTreeSet<String>,
    at: Duration,
    how: &str,
    findings: &mut Vec<Finding>,
) {
    let is_broken = broken.iter().any(|what| !what.contains('.') || *what == known.device);
    // Its program was too busy to answer.
    let is_late = known.pinged.is_some_and(|pinged| pinged + PONG < at);
    if known.is_served && !known.is_excused && !is_broken && !is_late {
        let text = format!("{} {how} at {}, for no reason", known.device, moment(at));
        findings.push(Finding { invariant: "stays-connected", at, text });
    }
    known.is_excused = true;
}

/// Whether a packet of a device ends its connection: a goodbye, or what is no packet of the protocol.
fn is_goodbye(packet: &str) -> bool {
    if let Some(event) = packet.strip_prefix("42") {
        let json = event.trim_start_matches(|c: char| c.is_ascii_digit());
        return serde_json::from_str::<Vec<serde_json::Value>>(json).is_err();
    }
    !(packet.starts_with("40") || ["2", "3", "5", "6", "2probe", "3probe"].contains(&packet))
}

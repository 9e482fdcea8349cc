//! Connections last: once a device is served, only its own goodbye or a fault ends its connection.

use std::{collections::BTreeMap, time::Duration};

use super::{Finding, faults::Fault};
use crate::{
    history::{ConnectionId, History, What, moment},
    scenario::TimeNames,
};

/// A device that leaves a ping unanswered for so long may be taken for dead.
const PONG: Duration = Duration::from_millis(100);

/// How long a busy machine may take over anything.
const SLACK: Duration = Duration::from_secs(2);

/// How long after a fault of Kafka a gateway may still close its sockets: it looks every ten seconds whether a topic was
/// made anew, which takes it up to five, and spreads the closing over ten.
const GAP: Duration = Duration::from_secs(30);

/// One connection, as far as it has come.
#[derive(Default)]
struct Known {
    device: String,
    gateway: String,
    opened: Duration,
    /// Of Socket.IO.
    socket: Option<String>,
    /// Something was acknowledged, or its presence was seen, so its token was good.
    is_served: bool,
    /// When it was pinged and has not answered yet.
    pinged: Option<Duration>,
    /// The device said goodbye, or something that ends connections, or it was told already.
    is_excused: bool,
}

pub(super) fn stays_connected(history: &History, times: TimeNames, findings: &mut Vec<Finding>) {
    let mut connections: BTreeMap<ConnectionId, Known> = BTreeMap::new();
    let faults = Faults { all: Fault::all(history), times };
    for entry in history.entries() {
        match &entry.what {
            What::Opened { connection, device, gateway, .. } => {
                let (opened, gateway) = (entry.at, gateway.clone());
                let known = Known { device: device.clone(), gateway, opened, ..Known::default() };
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
                    ended(known, &faults, entry.at, "was dismissed", findings);
                }
            }
            What::Closed { connection, by_gateway } => {
                if let Some(known) = connections.get_mut(connection) {
                    known.is_excused |= !by_gateway;
                    ended(known, &faults, entry.at, "lost its connection", findings);
                }
            }
            What::Presence { sockets, .. } => {
                for known in connections.values_mut() {
                    known.is_served |= known.socket.as_ref().is_some_and(|id| sockets.contains(id));
                }
            }
            What::GivenUp { .. }
            | What::Called { .. }
            | What::Step { .. }
            | What::Broken { .. }
            | What::Mended { .. }
            | What::Died { .. }
            | What::Published { .. }
            | What::StillPolls { .. }
            | What::Rows { .. }
            | What::Kept { .. }
            | What::Unreadable { .. }
            | What::Stored { .. } => {}
        }
    }
}

fn ended(
    known: &mut Known,
    faults: &Faults<'_>,
    at: Duration,
    how: &str,
    findings: &mut Vec<Finding>,
) {
    // Its program was too busy to answer.
    let is_late = known.pinged.is_some_and(|pinged| pinged + PONG < at);
    if known.is_served && !known.is_excused && !is_late && !faults.excuse(known, at) {
        let text = format!("{} {how} at {}, for no reason", known.device, moment(at));
        findings.push(Finding { invariant: "stays-connected", at, text });
    }
    known.is_excused = true;
}

/// What may end connections.
struct Faults<'h> {
    all: Vec<Fault<'h>>,
    times: TimeNames,
}

impl Faults<'_> {
    /// Whether something that was broken may have ended this connection at this time: the device or its network, its
    /// gateway, or Kafka. Without Redis, Postgres or a worker every connection stays.
    fn excuse(&self, known: &Known, at: Duration) -> bool {
        self.all.iter().any(|fault| {
            if fault.what == "kafka" {
                return fault.touches(at, at, GAP);
            }
            // Pings that were missed meanwhile may be held against who lived through it, and nobody else.
            (fault.what == known.device || fault.what == known.gateway)
                && !fault.was_over(known.opened)
                && fault.touches(at, at, self.times.ping + SLACK)
        })
    }
}

/// Whether a packet of a device ends its connection: a goodbye, or what is no packet of the protocol.
fn is_goodbye(packet: &str) -> bool {
    if let Some(event) = packet.strip_prefix("42") {
        let json = event.trim_start_matches(|c: char| c.is_ascii_digit());
        return serde_json::from_str::<Vec<serde_json::Value>>(json).is_err();
    }
    !(packet.starts_with("40") || ["2", "3", "5", "6", "2probe", "3probe"].contains(&packet))
}

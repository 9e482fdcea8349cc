//! A made-up run that is right has no finding; the same run with one planted fault has one, of the right invariant.

mod acks;
mod clock;
mod connections;
mod delivery;
mod faults;
mod frames;
mod order;
mod presence;
mod published;
mod replies;
mod told;

use std::time::Duration;

use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Finding, Ours};
use crate::{
    history::{ConnectionId, Entry, History, What},
    scenario::{Pings, TimeNames},
};
use faults::FAULTS;

/// Long ones: presence is not part of these runs.
const TIMES: TimeNames = TimeNames {
    ttl: Duration::from_mins(1),
    heartbeat: Duration::ZERO,
    ping: Duration::from_mins(1),
    lease: Duration::from_mins(1),
};

/// What a gateway says first, which has these times.
const OPEN: &str =
    r#"0{"sid":"x","upgrades":[],"pingInterval":40000,"pingTimeout":20000,"maxPayload":1000}"#;

/// How it says that it pings.
const PINGS: Pings = Pings { interval: Duration::from_secs(40), timeout: Duration::from_secs(20) };

/// What was started for these runs; where the times are others, it was somebody else's.
const OURS: Ours = Ours { pings: PINGS, origins_are_closed: true };

fn check(history: &History, without: &[&str], times: TimeNames) -> Vec<Finding> {
    super::check(history, without, times, (times == TIMES).then_some(OURS))
}

const DEVICES: [(&str, u128); 3] = [("alice.phone", 1), ("alice.laptop", 1), ("bob.phone", 2)];

/// What somebody does in a made-up run.
#[derive(Clone, Copy, Debug)]
enum Act {
    Join(usize),
    Leave(usize),
    Send(usize),
    /// The last message of this device, once more.
    Retry(usize),
    Heartbeat(usize),
    /// These two without asking for an ack.
    JoinBlindly(usize),
    LeaveBlindly(usize),
}

fn some_acts(kinds: usize) -> impl Strategy<Value = Vec<Act>> {
    let act = (0..kinds, 0..DEVICES.len()).prop_map(|(kind, device)| match kind {
        0 => Act::Join(device),
        1 => Act::Leave(device),
        2 => Act::Retry(device),
        3 => Act::Heartbeat(device),
        4 => Act::Send(device),
        5 => Act::JoinBlindly(device),
        _ => Act::LeaveBlindly(device),
    });
    prop::collection::vec(act, 1..60)
}

/// In which everything is answered, so that no fault has an excuse.
fn acts() -> impl Strategy<Value = Vec<Act>> {
    some_acts(5)
}

fn uuid(kind: u128, n: u128) -> String {
    Uuid::from_u128(kind << 80 | 0x4 << 76 | 0x8 << 60 | n).to_string()
}

fn room() -> String {
    uuid(3, 1)
}

/// A gateway that makes no mistake, and the devices that talk to it.
struct Run {
    history: History,
    at: Duration,
    inside: [bool; 3],
    /// Joins and leaves without an ack, which hold only after the next message, or the next join or leave with one.
    late: Vec<(usize, bool)>,
    next_ack: [u64; 3],
    last: [Option<Value>; 3],
    stored: Vec<Value>,
}

impl Run {
    fn of(acts: &[Act]) -> History {
        let mut run = Self {
            history: History::default(),
            at: Duration::ZERO,
            inside: [false; 3],
            late: Vec::new(),
            next_ack: [0; 3],
            last: [const { None }; 3],
            stored: Vec::new(),
        };
        run.history.call(room(), "general");
        for (n, (device, user)) in DEVICES.iter().enumerate() {
            let (connection, gateway) = (id(n), "gw1".to_owned());
            let (device, user) = ((*device).to_owned(), uuid(2, *user));
            run.push(What::Opened { connection, device, user, gateway, is_polling: false });
            run.received(n, OPEN.to_owned());
            run.received(n, format!(r#"40{{"sid":"{n}"}}"#));
        }
        for act in acts {
            run.act(*act);
        }
        // The end has waited for every ack.
        run.at += Duration::from_secs(12);
        run.push(What::Stored { room: room(), messages: run.stored.clone() });
        run.history
    }

    fn push(&mut self, what: What) {
        self.at += Duration::from_millis(1);
        self.history.push(self.at, what);
    }

    fn received(&mut self, device: usize, packet: String) {
        self.push(What::Received { connection: id(device), packet });
    }

    fn ask(&mut self, device: usize, event: &str, payload: &Value) -> u64 {
        let ack = self.next_ack[device];
        self.next_ack[device] += 1;
        let packet = format!("42{ack}{}", json!([event, payload]));
        self.push(What::Sent { connection: id(device), packet });
        ack
    }

    fn say(&mut self, device: usize, event: &str, payload: &Value) {
        let packet = format!("42{}", json!([event, payload]));
        self.push(What::Sent { connection: id(device), packet });
    }

    fn answer(&mut self, device: usize, ack: u64, body: &Value) {
        self.received(device, format!("43{ack}{}", json!([body])));
    }

    fn act(&mut self, act: Act) {
        let success = json!({"success": true});
        let place = json!({"roomId": room()});
        match act {
            Act::Join(device) => {
                let ack = self.ask(device, "joinRoom", &place);
                self.catch_up();
                self.inside[device] = true;
                self.answer(device, ack, &success);
            }
            Act::Leave(device) => {
                let ack = self.ask(device, "leaveRoom", &place);
                self.catch_up();
                self.inside[device] = false;
                self.answer(device, ack, &success);
            }
            Act::JoinBlindly(device) => {
                self.say(device, "joinRoom", &place);
                self.late.push((device, true));
            }
            Act::LeaveBlindly(device) => {
                self.say(device, "leaveRoom", &place);
                self.late.push((device, false));
            }
            Act::Heartbeat(device) => {
                let ack = self.ask(device, "heartbeat", &json!({}));
                self.answer(device, ack, &success);
            }
            Act::Send(device) => self.send(device),
            Act::Retry(device) => {
                if let Some(payload) = self.last[device].clone() {
                    let ack = self.ask(device, "sendMessage", &payload);
                    let body = json!({"clientMsgId": payload["clientMsgId"], "status": "ACCEPTED"});
                    self.answer(device, ack, &body);
                }
            }
        }
    }

    fn catch_up(&mut self) {
        for (device, is_inside) in std::mem::take(&mut self.late) {
            self.inside[device] = is_inside;
        }
    }

    fn send(&mut self, device: usize) {
        let n = self.stored.len() as u128;
        let client_msg_id = uuid(4, n);
        self.history.call(&client_msg_id, format!("message {n}"));
        let payload = json!({"roomId": room(), "clientMsgId": client_msg_id, "content": "hi"});
        let ack = self.ask(device, "sendMessage", &payload);
        self.last[device] = Some(payload);
        let body = json!({"clientMsgId": client_msg_id, "status": "ACCEPTED"});
        self.answer(device, ack, &body);
        let message_id = Uuid::from_u128(n << 80 | 0x7 << 76 | 0x8 << 60);
        let message = json!({
            "messageId": message_id, "roomId": room(), "senderId": uuid(2, DEVICES[device].1),
            "clientMsgId": client_msg_id, "type": "TEXT", "content": "hi",
            "createdAt": "2026-01-02T03:04:05.678Z",
        });
        self.stored.push(message.clone());
        for hearer in 0..DEVICES.len() {
            if self.inside[hearer] {
                self.received(hearer, format!("42{}", json!(["newMessage", message])));
            }
        }
        self.catch_up();
    }
}

fn id(device: usize) -> ConnectionId {
    ConnectionId(u32::try_from(device).unwrap())
}

/// The same history with its entries changed.
fn changed(history: &History, change: impl FnOnce(&mut Vec<Entry>)) -> History {
    let mut entries = history.entries().to_vec();
    change(&mut entries);
    let mut changed = History::default();
    for Entry { at, what } in entries {
        changed.push(at, what);
    }
    changed
}

/// Where the packets stand that begin so and were received.
fn received(entries: &[Entry], start: &str) -> Vec<usize> {
    let is_it = |entry: &Entry| matches!(&entry.what, What::Received { packet, .. } if packet.starts_with(start));
    (0..entries.len()).filter(|index| is_it(&entries[*index])).collect()
}

fn edit(entry: &mut Entry, from: &str, to: &str) {
    let What::Received { packet, .. } = &mut entry.what else { panic!("{entry:?}") };
    assert!(packet.contains(from), "{packet}");
    *packet = packet.replacen(from, to, 1);
}

const DELIVERY: &str = "42[\"newMessage\"";

/// Who heard the message of this entry, if it is one.
fn hearer(entry: &Entry) -> Option<ConnectionId> {
    if let What::Received { connection, packet } = &entry.what
        && packet.starts_with(DELIVERY)
    {
        return Some(*connection);
    }
    None
}

/// A fault, the invariant that it breaks, and how it is planted at the chosen one of so many places.
type Fault = (&'static str, &'static str, fn(&mut Vec<Entry>, prop::sample::Index) -> bool);

/// One of the packets that begin with `start`.
fn chosen(entries: &[Entry], start: &str, at: prop::sample::Index) -> Option<usize> {
    let places = received(entries, start);
    if places.is_empty() { None } else { Some(places[at.index(places.len())]) }
}

/// Plants what `plant` does to the chosen packet; `false` if there is no such packet.
fn at_a(
    entries: &mut Vec<Entry>,
    start: &str,
    at: prop::sample::Index,
    plant: impl FnOnce(&mut Vec<Entry>, usize),
) -> bool {
    let place = chosen(entries, start, at);
    if let Some(place) = place {
        plant(entries, place);
    }
    place.is_some()
}

proptest! {
    #[test]
    fn a_run_without_a_mistake_has_no_finding(acts in some_acts(7)) {
        prop_assert_eq!(check(&Run::of(&acts), &[], TIMES), []);
    }

    #[test]
    fn a_planted_fault_is_found(acts in acts(), at: prop::sample::Index, which in 0..FAULTS.len()) {
        let (name, invariant, plant) = FAULTS[which];
        let mut is_planted = false;
        let history = changed(&Run::of(&acts), |entries| is_planted = plant(entries, at));
        let findings = check(&history, &[], TIMES);
        let is_found = findings.iter().any(|finding| finding.invariant == invariant);
        prop_assert!(is_found || !is_planted, "{}: {:?}", name, findings);
        prop_assert!(check(&history, &[invariant], TIMES).iter().all(|it| it.invariant != invariant));
    }

    #[test]
    fn two_deliveries_that_change_places_are_found(acts in acts(), at: prop::sample::Index) {
        let history = Run::of(&acts);
        let places = received(history.entries(), DELIVERY);
        let of = |place: usize| hearer(&history.entries()[place]);
        let pairs: Vec<(usize, usize)> = places
            .iter()
            .filter_map(|place| {
                let next = places.iter().find(|next| *next > place && of(**next) == of(*place))?;
                Some((*place, *next))
            })
            .collect();
        if !pairs.is_empty() {
            let (first, second) = pairs[at.index(pairs.len())];
            let swapped = changed(&history, |entries| {
                let (a, b) = (entries[first].what.clone(), entries[second].what.clone());
                (entries[first].what, entries[second].what) = (b, a);
            });
            let findings = check(&swapped, &["no-leak", "nothing-lost"], TIMES);
            prop_assert!(findings.iter().any(|it| it.invariant == "one-order"), "{:?}", findings);
        }
    }
}

#[test]
fn who_joined_twice_and_left_once_is_out() {
    let mut history = Run::of(&[Act::Join(2), Act::Join(2), Act::Leave(2), Act::Send(0)]);
    assert_eq!(check(&history, &[], TIMES), []);
    let joined = Run::of(&[Act::Join(2), Act::Send(0)]);
    let delivery = joined.entries()[received(joined.entries(), DELIVERY)[0]].what.clone();
    history.push(Duration::from_mins(1), delivery);
    assert!(check(&history, &[], TIMES).iter().any(|it| it.invariant == "no-leak"));
}

#[test]
fn a_finding_speaks_of_names() {
    let history = Run::of(&[Act::Join(2), Act::Send(0)]);
    let place = received(history.entries(), DELIVERY)[0];
    let mut entries = history.entries().to_vec();
    entries.remove(place);
    let mut history = History::default();
    history.call(room(), "general");
    history.call(uuid(4, 0), "hi");
    for Entry { at, what } in entries {
        history.push(at, what);
    }
    let texts: Vec<_> =
        check(&history, &[], TIMES).into_iter().map(|finding| finding.text).collect();
    let expect =
        "bob.phone was in `general` since 0.01 s and never heard `hi`, sent at 0.01 s and accepted";
    assert_eq!(texts, [expect]);
}

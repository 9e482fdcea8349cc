//! What one device said and heard, a line for each packet. Engine.IO's pings, probes and closes are left out, and the
//! heartbeats that a device sends by itself.
//!
//! What is not determined must not show: an ack stands below its event, whenever it came. A message stands where it was sent
//! (or where its hearer joined the room, if that was later), whenever it was heard. Of messages that were sent side by side,
//! those of one device stand together.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::names::Names;
use crate::{
    history::{ConnectionId, History, Story, What},
    scenario::{Place, Scenario, Spanned, Step},
};

/// A packet and its place. Sorted by `order`; equals stay as they came.
struct Item {
    order: Order,
    lines: Vec<String>,
}

/// The step; then what the device did itself before what it heard; then who sent it, and as which of theirs.
type Order = (usize, bool, String, usize);

/// The transcript of a device, a line for each packet.
#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is a packet")]
pub(super) fn of(scenario: &Scenario, history: &History, device: &str) -> String {
    let story = Story::read(history);
    let steps = Steps::read(scenario, history);
    let names = Names::new(scenario, history, &story);
    let beats_itself = scenario.stack.heartbeat.is_some();
    let senders = senders(&story, &steps);
    let mut transcript = Transcript {
        story: &story,
        steps,
        names,
        senders,
        beats_itself,
        items: Vec::new(),
        asked: BTreeMap::new(),
    };
    let mut connections: Vec<ConnectionId> = Vec::new();
    for entry in history.entries() {
        match &entry.what {
            What::Opened { connection, device: opened, gateway, .. } if opened == device => {
                connections.push(*connection);
                let line = format!("-- connection {} to {gateway}", connections.len());
                transcript.own(entry.at, line);
            }
            What::Sent { connection, packet } if connections.contains(connection) => {
                transcript.sent(entry.at, *connection, packet);
            }
            What::Received { connection, packet } if connections.contains(connection) => {
                transcript.received(entry.at, *connection, packet);
            }
            _ => {}
        }
    }
    let mut items = transcript.items;
    items.sort_by(|left, right| left.order.cmp(&right.order));
    let lines: Vec<String> = items.into_iter().flat_map(|item| item.lines).collect();
    if lines.is_empty() { "nothing\n".to_owned() } else { lines.join("\n") + "\n" }
}

struct Transcript<'r> {
    story: &'r Story,
    steps: Steps,
    names: Names,
    senders: BTreeMap<(String, String), (usize, String, usize)>,
    beats_itself: bool,
    items: Vec<Item>,
    /// Where the event with this ack id stands; `None`: it is left out.
    asked: BTreeMap<(ConnectionId, u64), Option<usize>>,
}

impl Transcript<'_> {
    fn own(&mut self, at: Duration, line: String) {
        let order = (self.steps.at(at), false, String::new(), 0);
        self.items.push(Item { order, lines: vec![line] });
    }

    fn sent(&mut self, at: Duration, connection: ConnectionId, packet: &str) {
        let Some(rest) = packet.strip_prefix("42") else {
            if let Some(words) = self.plain(packet) {
                self.own(at, format!("→ {words}"));
            }
            return;
        };
        let (id, json) = id_and_json(rest);
        let event = json.as_ref().and_then(|json| json[0].as_str());
        let is_left_out = self.beats_itself && event == Some("heartbeat");
        if let Some(id) = id {
            self.asked.insert((connection, id), (!is_left_out).then_some(self.items.len()));
        }
        if !is_left_out {
            let words = self.event(packet, json.as_ref());
            self.own(at, format!("→ {words}"));
        }
    }

    fn received(&mut self, at: Duration, connection: ConnectionId, packet: &str) {
        if let Some(rest) = packet.strip_prefix("43") {
            let (id, json) = id_and_json(rest);
            let ack = self.arguments(json.as_ref(), 0);
            match id.and_then(|id| self.asked.get(&(connection, id)).copied()) {
                Some(Some(index)) => self.items[index].lines.push(format!("     ack {ack}")),
                Some(None) => {}
                None => self.own(at, format!("← ack of nothing {ack}")),
            }
        } else if let Some(rest) = packet.strip_prefix("42") {
            let json = id_and_json(rest).1;
            let order = self.order_of(at, connection, json.as_ref());
            let words = self.event(packet, json.as_ref());
            self.items.push(Item { order, lines: vec![format!("← {words}")] });
        } else if let Some(words) = self.plain(packet) {
            self.own(at, format!("← {words}"));
        }
    }

    /// Where a message stands that came at this time.
    fn order_of(&self, at: Duration, connection: ConnectionId, json: Option<&Value>) -> Order {
        let id = |field: &str| {
            json.and_then(|json| json[1][field].as_str()).unwrap_or_default().to_lowercase()
        };
        let room = id("roomId");
        let Some((step, sender, number)) = self.senders.get(&(id("clientMsgId"), room.clone()))
        else {
            return (self.steps.at(at), true, String::new(), 0);
        };
        let inside = self.story.inside.iter().rfind(|inside| {
            inside.connection == connection && inside.room == room && inside.asked <= at
        });
        let joined = inside.map_or(0, |inside| self.steps.at(inside.asked));
        ((*step).max(joined), true, sender.clone(), *number)
    }

    fn event(&mut self, packet: &str, json: Option<&Value>) -> String {
        match json.and_then(|json| json[0].as_str()) {
            Some(event) => format!("{event} {}", self.arguments(json, 1)).trim_end().to_owned(),
            None => self.names.line(packet),
        }
    }

    /// Everything from the argument of this number on.
    fn arguments(&mut self, json: Option<&Value>, from: usize) -> String {
        let all = json.and_then(Value::as_array).into_iter().flatten().skip(from);
        let words: Vec<String> = all.map(|argument| self.names.json(argument)).collect();
        words.join(" ")
    }

    /// A packet without an event; `None`: nobody says anything in it.
    fn plain(&mut self, packet: &str) -> Option<String> {
        let (kind, json) = [("40", "connect"), ("44", "refused"), ("41", "disconnect")]
            .into_iter()
            .find_map(|(prefix, word)| Some((word, packet.strip_prefix(prefix)?)))
            .unwrap_or(("", packet));
        if kind.is_empty() {
            let is_silent =
                ["0", "1", "2", "3", "5", "6"].iter().any(|kind| packet.starts_with(kind));
            return (!is_silent).then(|| self.names.line(packet));
        }
        let said = serde_json::from_str(json).map(|json: Value| self.names.json(&json));
        Some(format!("{kind} {}", said.unwrap_or_default()).trim_end().to_owned())
    }
}

/// Who first sent a message to a room: in which step, which device, as which of its messages.
fn senders(story: &Story, steps: &Steps) -> BTreeMap<(String, String), (usize, String, usize)> {
    let mut senders = BTreeMap::new();
    for (number, sent) in story.sent.iter().enumerate() {
        let (Some(message), Some(room)) = (sent.id("clientMsgId"), sent.id("roomId")) else {
            continue;
        };
        let device = story.device(sent.connection).to_owned();
        senders.entry((message, room)).or_insert((steps.at(sent.at), device, number));
    }
    senders
}

/// When each step began. The steps of one `parallel` count as one: none of them is before another.
struct Steps {
    begun: Vec<Duration>,
}

impl Steps {
    fn read(scenario: &Scenario, history: &History) -> Self {
        let mut parallel = BTreeMap::new();
        lines_of_parallel(&scenario.steps, None, &mut parallel);
        let (mut begun, mut last) = (Vec::new(), None);
        for entry in history.entries() {
            let What::Step { line, .. } = &entry.what else { continue };
            let block = parallel.get(line).copied();
            if block.is_none() || block != last {
                begun.push(entry.at);
            }
            last = block;
        }
        Self { begun }
    }

    /// How many steps had begun at this time.
    fn at(&self, at: Duration) -> usize {
        self.begun.partition_point(|begun| *begun <= at)
    }
}

/// The lines of steps that run side by side with others, and the line of the outermost `parallel` around them.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other step has steps of its own")]
fn lines_of_parallel(steps: &[Spanned<Step>], outer: Option<u64>, lines: &mut BTreeMap<u64, u64>) {
    for step in steps {
        let line = Place::from(step).line;
        if let Some(outer) = outer {
            lines.insert(line, outer);
        }
        match &step.value {
            Step::Parallel(parallel) => {
                for block in &parallel.0 {
                    lines_of_parallel(block, outer.or(Some(line)), lines);
                }
            }
            Step::Repeat(repeat) => lines_of_parallel(&repeat.steps, outer, lines),
            // Its steps count as the line of the `use`.
            Step::Use(shared) => {
                let mut inside = BTreeMap::new();
                lines_of_parallel(&shared.steps, None, &mut inside);
                let all: BTreeSet<u64> = inside.into_values().collect();
                if !all.is_empty() {
                    lines.entry(line).or_insert(line);
                }
            }
            _ => {}
        }
    }
}

/// The id before the JSON, and the JSON.
fn id_and_json(text: &str) -> (Option<u64>, Option<Value>) {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..digits].parse().ok(), serde_json::from_str(&text[digits..]).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
scenario: x
actors: { alice: { phone: gw1 }, bob: { phone: gw1 } }
steps:
  - connect: everyone
  - parallel:
      - - send: { from: alice.phone, room: general, text: a, as: a }
      - - send: { from: bob.phone, room: general, text: b, as: b }
  - heartbeat: alice.phone
";

    fn message(name: &str, sender: &str) -> String {
        format!(
            r#"42["newMessage",{{"clientMsgId":"{name}","roomId":"general","senderId":"{sender}"}}]"#
        )
    }

    /// alice's phone in a run in which this came in this order.
    fn transcript(heard: &[&str]) -> String {
        let scenario = crate::scenario::parse("x.yaml", SOURCE).unwrap();
        let mut history = History::default();
        for name in ["a", "b", "general", "alice", "bob"] {
            history.call(name, name);
        }
        let mut now = Duration::ZERO;
        let mut push = |what: What| {
            now += Duration::from_millis(1);
            history.push(now, what);
        };
        let step = |line| What::Step { line, text: String::new() };
        let (alice, bob) = (ConnectionId(1), ConnectionId(2));
        push(step(4));
        for (connection, name) in [(alice, "alice"), (bob, "bob")] {
            let [device, user, gateway] =
                [format!("{name}.phone"), name.to_owned(), "gw1".to_owned()];
            push(What::Opened { connection, device, user, gateway, is_polling: false });
            let sid = format!(r#"40{{"sid":"s-{name}"}}"#);
            push(What::Received { connection, packet: sid });
        }
        let send = |connection, name: &str| What::Sent {
            connection,
            packet: format!(r#"425["sendMessage",{{"clientMsgId":"{name}","roomId":"general"}}]"#),
        };
        push(step(6));
        push(send(alice, "a"));
        push(step(7));
        push(send(bob, "b"));
        for packet in heard {
            if *packet == "beat" {
                push(step(8));
                push(What::Sent { connection: alice, packet: r#"426["heartbeat",{}]"#.to_owned() });
            } else {
                push(What::Received { connection: alice, packet: (*packet).to_owned() });
            }
        }
        of(&scenario, &history, "alice.phone")
    }

    #[test]
    fn the_order_in_which_things_happen_to_come_does_not_show() {
        let (a, b) = (message("a", "alice"), message("b", "bob"));
        let (ack, beat) = (r#"435[{"status":"ACCEPTED"}]"#, r#"436[{"success":true}]"#);
        let expect = "\
-- connection 1 to gw1
← connect { sid: alice.phone.socket }
→ sendMessage { clientMsgId: a, roomId: general }
     ack { status: \"ACCEPTED\" }
← newMessage { clientMsgId: a, roomId: general, senderId: alice }
← newMessage { clientMsgId: b, roomId: general, senderId: bob }
→ heartbeat {}
     ack { success: true }
";
        assert_eq!(transcript(&[&a, &b, ack, "beat", beat]), expect);
        assert_eq!(transcript(&[&b, "beat", ack, "2", "3probe", &a, beat]), expect);
    }

    #[test]
    fn what_should_not_have_come_shows() {
        let a = message("a", "alice");
        let twice = transcript(&[&a, &a, "beat"]);
        assert_eq!(twice.matches("← newMessage").count(), 2, "{twice}");
        let stray = transcript(&["437[7]", "43", "42x"]);
        assert!(stray.contains("← ack of nothing 7\n← ack of nothing"), "{stray}");
        assert!(stray.contains("← 42x"), "{stray}");
    }
}

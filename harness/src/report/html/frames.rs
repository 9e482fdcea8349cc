//! The frames of a run for the page, each with the words of people: short numbers that point into lists of texts, since the
//! same message goes to many devices.

use std::collections::HashMap;

use serde_json::Value;

use super::{super::packet::in_words, timeline::Limits};
use crate::history::{ConnectionId, History, IdNames, What};

/// What a frame is. The page knows the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Event = 0,
    Accepted = 1,
    Refused = 2,
    Message = 3,
    Connect = 4,
    Disconnect = 5,
    Ping = 6,
    Other = 7,
}

/// Microseconds since the frame before, the connection, whether it was received, the kind, the text, and the subject plus
/// one; 0: it has none.
type Frame = [u64; 6];

/// Frames, and what they point to.
#[derive(Default)]
pub(super) struct Frames {
    pub(super) list: Vec<Frame>,
    /// In words, and as it was, with names instead of ids.
    pub(super) texts: Vec<(String, String)>,
    /// Messages and calls by name: frames of the same subject belong together.
    pub(super) subjects: Vec<String>,
    /// The first and the last moment of what is left out, in microseconds, and how many frames that are.
    pub(super) left_out: Option<(u64, u64, usize)>,
}

/// How many frames a history has.
pub(super) fn count(history: &History) -> usize {
    history.entries().iter().filter(|entry| packet_of(&entry.what).is_some()).count()
}

/// A frame's connection, packet, and whether it was received.
fn packet_of(what: &What) -> Option<(ConnectionId, &str, bool)> {
    match what {
        What::Sent { connection, packet } => Some((*connection, packet, false)),
        What::Received { connection, packet } => Some((*connection, packet, true)),
        What::Opened { .. }
        | What::Closed { .. }
        | What::GivenUp { .. }
        | What::Called { .. }
        | What::Step { .. }
        | What::Presence { .. }
        | What::Broken { .. }
        | What::Mended { .. }
        | What::Died { .. }
        | What::Published { .. }
        | What::StillPolls { .. }
        | What::Rows { .. }
        | What::Kept { .. }
        | What::Unreadable { .. }
        | What::Stored { .. } => None,
    }
}

/// Reads frames one after the other.
pub(super) struct Reader<'h> {
    history: &'h History,
    /// Of ids, which are in lower case, sockets included.
    names: &'h IdNames,
    places: &'h HashMap<ConnectionId, usize>,
    packet_chars: usize,
    known_texts: HashMap<String, u64>,
    known_subjects: HashMap<String, u64>,
    /// The subject of the newest event that a connection sent with this ack id.
    asked: HashMap<(ConnectionId, u64), u64>,
    read: Frames,
    last: u64,
}

impl<'h> Reader<'h> {
    pub(super) fn new(
        history: &'h History,
        names: &'h IdNames,
        places: &'h HashMap<ConnectionId, usize>,
        limits: Limits,
    ) -> Self {
        Self {
            history,
            names,
            places,
            packet_chars: limits.packet_chars,
            known_texts: HashMap::new(),
            known_subjects: HashMap::new(),
            asked: HashMap::new(),
            read: Frames::default(),
            last: 0,
        }
    }

    /// All of them; of too many the first quarter and the newest ones.
    pub(super) fn read(mut self, frames_max: usize) -> Frames {
        let all = count(self.history);
        let hidden = all.saturating_sub(frames_max);
        let first_hidden = frames_max / 4;
        let mut number = 0;
        for entry in self.history.entries() {
            let Some((connection, packet, is_received)) = packet_of(&entry.what) else { continue };
            let at = u64::try_from(entry.at.as_micros()).unwrap_or(u64::MAX);
            if (first_hidden..first_hidden + hidden).contains(&number) {
                let from = self.read.left_out.map_or(at, |(from, ..)| from);
                self.read.left_out = Some((from, at, hidden));
            } else if let Some(place) = self.places.get(&connection) {
                let (kind, subject) = self.subject(connection, packet, is_received);
                let text = self.text(packet);
                let frame =
                    [at - self.last, *place as u64, is_received.into(), kind as u64, text, subject];
                self.read.list.push(frame);
                self.last = at;
            }
            number += 1;
        }
        self.read
    }

    /// The number of the packet's text.
    fn text(&mut self, packet: &str) -> u64 {
        if let Some(known) = self.known_texts.get(packet) {
            return *known;
        }
        let number = self.read.texts.len() as u64;
        let words = in_words(self.names, packet).unwrap_or_else(|| engine_words(packet).to_owned());
        let shown = shortened(&self.names.in_text(&without_signature(packet)), self.packet_chars);
        self.read.texts.push((words, shown));
        self.known_texts.insert(packet.to_owned(), number);
        number
    }

    /// What a packet is, and what it belongs to.
    fn subject(
        &mut self,
        connection: ConnectionId,
        packet: &str,
        is_received: bool,
    ) -> (Kind, u64) {
        if let Some(rest) = packet.strip_prefix("42") {
            let (id, json) = id_and_json(rest);
            let message = json[1]["clientMsgId"].as_str().map(|id| self.names.in_words(id));
            let subject = match (message, id) {
                (Some(name), _) => self.subject_number(&name, &name),
                (None, Some(id)) => {
                    let event = json[0].as_str().unwrap_or("event");
                    let key = format!("{} {id} {}", connection.0, self.last);
                    self.subject_number(&key, &format!("{event} #{id}"))
                }
                (None, None) => 0,
            };
            if let Some(id) = id.filter(|_| !is_received) {
                self.asked.insert((connection, id), subject);
            }
            return (if is_received { Kind::Message } else { Kind::Event }, subject);
        }
        if let Some(rest) = packet.strip_prefix("43") {
            let (id, json) = id_and_json(rest);
            let is_good = json[0]["status"] == "ACCEPTED" || json[0]["success"] == true;
            let asked = id.and_then(|id| self.asked.get(&(connection, id)).copied());
            return (
                if is_good { Kind::Accepted } else { Kind::Refused },
                asked.unwrap_or_default(),
            );
        }
        let kind = match packet {
            "1" | "41" => Kind::Disconnect,
            _ if packet.starts_with("40") => Kind::Connect,
            _ if packet.starts_with("44") => Kind::Refused,
            _ if packet.starts_with(['0', '2', '3', '5', '6']) => Kind::Ping,
            _ => Kind::Other,
        };
        (kind, 0)
    }

    /// Plus one, since 0 is none.
    fn subject_number(&mut self, key: &str, name: &str) -> u64 {
        if let Some(known) = self.known_subjects.get(key) {
            return *known;
        }
        self.read.subjects.push(name.to_owned());
        let number = self.read.subjects.len() as u64;
        self.known_subjects.insert(key.to_owned(), number);
        number
    }
}

/// The words for what only transports say.
fn engine_words(packet: &str) -> &'static str {
    match packet {
        "2" => "ping",
        "3" => "pong",
        "2probe" => "probe",
        "3probe" => "probe answered",
        "5" => "upgrade",
        "6" => "noop",
        _ if packet.starts_with('0') => "open",
        _ => "transport",
    }
}

/// The ack id before the JSON, and the JSON; null if it is none.
fn id_and_json(text: &str) -> (Option<u64>, Value) {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..digits].parse().ok(), serde_json::from_str(&text[digits..]).unwrap_or_default())
}

/// A CONNECT without the part of its token that lets somebody in: pages are passed on.
fn without_signature(packet: &str) -> String {
    let Some(Value::Object(mut auth)) =
        packet.strip_prefix("40").and_then(|json| serde_json::from_str(json).ok())
    else {
        return packet.to_owned();
    };
    match auth.get("token").and_then(Value::as_str).and_then(|token| token.rsplit_once('.')) {
        Some((rest, _)) => {
            let token = format!("{rest}.…");
            auth.insert("token".to_owned(), token.into());
            format!("40{}", Value::Object(auth))
        }
        None => packet.to_owned(),
    }
}

/// A text of which at most so many characters are shown.
pub(super) fn shortened(text: &str, chars_max: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(chars_max) else { return text.to_owned() };
    format!("{}… ({} characters more)", &text[..end], text[end..].chars().count())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ID: &str = "11111111-2222-4333-8444-555555555555";

    fn read(packets: &[(&str, bool)], frames: usize) -> Frames {
        let mut history = History::default();
        history.call(ID, "hi");
        let connection = ConnectionId(1);
        for (number, (packet, is_received)) in packets.iter().enumerate() {
            let packet = (*packet).to_owned();
            let what = if *is_received {
                What::Received { connection, packet }
            } else {
                What::Sent { connection, packet }
            };
            history.push(Duration::from_micros(10 * number as u64), what);
        }
        let names = IdNames::new(&history, &crate::history::Story::read(&history));
        let places = HashMap::from([(connection, 0)]);
        Reader::new(&history, &names, &places, Limits { frames, packet_chars: 200 }).read(frames)
    }

    #[test]
    fn frames_of_a_message_have_one_subject() {
        let sent = format!("427[\"sendMessage\",{{\"clientMsgId\":\"{ID}\"}}]");
        let heard = format!("42[\"newMessage\",{{\"clientMsgId\":\"{}\"}}]", ID.to_uppercase());
        let ack = "437[{\"status\":\"ACCEPTED\"}]";
        let refused = "438[{\"success\":false}]";
        let join = "428[\"joinRoom\",{}]";
        let read = read(
            &[
                (&sent, false),
                (ack, true),
                (&heard, true),
                (join, false),
                (refused, true),
                ("2", true),
            ],
            9,
        );
        let seen: Vec<_> = read.list.iter().map(|frame| (frame[0], frame[3], frame[5])).collect();
        assert_eq!(seen, [(0, 0, 1), (10, 1, 1), (10, 3, 1), (10, 0, 2), (10, 2, 2), (10, 6, 0)]);
        assert_eq!(read.subjects, ["hi", "joinRoom #8"]);
        assert_eq!(read.texts[0], ("sendMessage #7 hi".to_owned(), sent.replace(ID, "hi")));
        assert_eq!(read.texts[5].0, "ping");
    }

    #[test]
    fn of_too_many_frames_the_middle_is_left_out() {
        let read = read(&[("2", true); 10], 4);
        assert_eq!(read.list.len(), 4);
        assert_eq!(read.left_out, Some((10, 60, 6)));
        let times: Vec<u64> = read.list.iter().map(|frame| frame[0]).collect();
        assert_eq!(times, [0, 70, 10, 10]);
        assert_eq!(read.texts.len(), 1);
    }

    #[test]
    fn tokens_cannot_be_used_again() {
        assert_eq!(without_signature("40{\"token\":\"a.b.c\"}"), "40{\"token\":\"a.b.…\"}");
        assert_eq!(without_signature("40{\"sid\":\"a.b.c\"}"), "40{\"sid\":\"a.b.c\"}");
        assert_eq!(without_signature("42[\"a.b.c\"]"), "42[\"a.b.c\"]");
        assert_eq!(shortened("ééé", 3), "ééé");
        assert_eq!(shortened("éééé", 3), "ééé… (1 characters more)");
    }
}

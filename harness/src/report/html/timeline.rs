//! What the page draws of a history: lanes, connections, frames, faults as spans, and presence as it was seen. Times are
//! microseconds since the run began.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use serde::Serialize;

use super::{
    calls::{self, Calls},
    frames::{Frames, Reader},
};
use crate::{
    history::{ConnectionId, Entry, IdNames, Story, What},
    verdict::Run,
};

/// How much of a run is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) frames: usize,
    /// Of each packet.
    pub(super) packet_chars: usize,
}

#[derive(Serialize)]
pub(super) struct Timeline {
    end: u64,
    devices: Vec<String>,
    gateways: Vec<String>,
    users: Vec<String>,
    connections: Vec<Connection>,
    frames: Vec<[u64; 6]>,
    texts: Vec<(String, String)>,
    subjects: Vec<String>,
    left_out: Option<(u64, u64, usize)>,
    faults: Vec<Fault>,
    notices: Vec<Notice>,
    presence: Vec<Presence>,
    #[serde(flatten)]
    calls: Calls,
}

/// `device`, `gateway` and `user` are places in the lists of names.
#[derive(Serialize)]
struct Connection {
    device: usize,
    gateway: usize,
    from: u64,
    to: Option<u64>,
}

/// Something that was broken on purpose, until it was mended or replaced.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Fault {
    what: String,
    text: String,
    from: u64,
    to: Option<u64>,
    /// How it was mended, in words.
    mended: Option<String>,
}

/// A gateway noticed that a device was gone.
#[derive(Serialize)]
struct Notice {
    at: u64,
    device: String,
    gateway: String,
}

/// From when to when a user was seen with these sockets.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Presence {
    user: usize,
    from: u64,
    to: u64,
    sockets: Vec<String>,
}

impl Timeline {
    pub(super) fn of(run: &Run, limits: Limits) -> Self {
        let story = Story::read(&run.history);
        let names = IdNames::new(&run.history, &story);
        let places: HashMap<ConnectionId, usize> =
            story.connections.keys().enumerate().map(|(place, id)| (*id, place)).collect();
        let frames = Reader::new(&run.history, &names, &places, limits).read(limits.frames);
        let Frames { list: frames, texts, subjects, left_out } = frames;
        let devices = names_of(story.connections.values().map(|it| it.device.as_str()));
        let asked = calls::gateways(&run.history);
        let connected = story.connections.values().map(|it| it.gateway.as_str());
        let gateways = names_of(connected.chain(asked));
        let users = names_of(story.presence.iter().map(|it| it.user.as_str()));
        let end = micros(run.duration.max(story.end));
        let connections = story.connections.values().map(|known| Connection {
            device: place(&devices, &known.device),
            gateway: place(&gateways, &known.gateway),
            from: micros(known.opened),
            to: known.closed.map(micros),
        });
        Self {
            end,
            connections: connections.collect(),
            frames,
            texts,
            subjects,
            left_out,
            faults: faults(run.history.entries()),
            notices: notices(run.history.entries()),
            presence: presence(&story, &users, &names, end),
            users: users
                .iter()
                .map(|id| run.history.name(id).trim_matches('`').to_owned())
                .collect(),
            devices,
            calls: Calls::of(&run.history, &story, &gateways, limits.packet_chars),
            gateways,
        }
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Each once, in order.
pub(super) fn names_of<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

pub(super) fn place(names: &[String], name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_default()
}

/// A fault lasts until the same thing is mended; a device's also until it connects anew, if nothing mends it before it is
/// broken again.
fn faults(entries: &[Entry]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let What::Broken { what, text } = &entry.what else { continue };
        let mut fault = Fault {
            what: what.clone(),
            text: text.clone(),
            from: micros(entry.at),
            to: None,
            mended: None,
        };
        for later in &entries[index + 1..] {
            match &later.what {
                What::Mended { what: it, text } if it == what => {
                    (fault.to, fault.mended) = (Some(micros(later.at)), Some(text.clone()));
                    break;
                }
                What::Broken { what: it, .. } if it == what => {
                    fault.to.get_or_insert(micros(later.at));
                    break;
                }
                What::Opened { device, .. } if device == what => {
                    fault.to.get_or_insert(micros(later.at));
                }
                What::Opened { .. }
                | What::Sent { .. }
                | What::Received { .. }
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
                | What::Stored { .. } => {}
            }
        }
        faults.push(fault);
    }
    faults
}

fn notices(entries: &[Entry]) -> Vec<Notice> {
    let notice = |entry: &Entry| {
        let What::GivenUp { device, gateway } = &entry.what else { return None };
        Some(Notice { at: micros(entry.at), device: device.clone(), gateway: gateway.clone() })
    };
    entries.iter().filter_map(notice).collect()
}

/// Each look lasts until another one saw something else.
fn presence(story: &Story, users: &[String], names: &IdNames, end: u64) -> Vec<Presence> {
    let mut seen: Vec<Presence> = Vec::new();
    let mut newest: HashMap<usize, usize> = HashMap::new();
    for look in &story.presence {
        let (user, at) = (place(users, &look.user), micros(look.at));
        let mut names: Vec<String> =
            look.sockets.iter().map(|id| names.of(id).unwrap_or(id).to_owned()).collect();
        names.sort();
        if let Some(before) = newest.get(&user).and_then(|index| seen.get_mut(*index)) {
            if before.sockets == names {
                continue;
            }
            before.to = at;
        }
        newest.insert(user, seen.len());
        seen.push(Presence { user, from: at, to: end, sockets: names });
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn broken(what: &str) -> What {
        What::Broken { what: what.to_owned(), text: format!("{what} broke") }
    }

    fn mended(what: &str) -> What {
        What::Mended { what: what.to_owned(), text: format!("{what} works") }
    }

    fn opened(connection: u32) -> What {
        What::Opened {
            connection: ConnectionId(connection),
            device: "alice.phone".to_owned(),
            user: "u".to_owned(),
            gateway: "gw1".to_owned(),
            is_polling: false,
        }
    }

    #[test]
    fn a_fault_ends_where_it_is_mended_or_the_device_is_back() {
        let mut history = History::default();
        let seen = [
            (1, broken("alice.phone")),
            (2, broken("kafka")),
            (3, opened(1)),
            (4, broken("alice.phone")),
            (5, opened(2)),
            (6, mended("alice.phone")),
            (7, mended("gw1")),
        ];
        for (time, what) in seen {
            history.push(at(time), what);
        }
        let faults = faults(history.entries());
        let ends: Vec<_> = faults.iter().map(|it| (it.what.as_str(), it.from, it.to)).collect();
        let expected = [
            ("alice.phone", 1_000, Some(3_000)),
            ("kafka", 2_000, None),
            ("alice.phone", 4_000, Some(6_000)),
        ];
        assert_eq!(ends, expected);
        assert_eq!(faults[2].mended.as_deref(), Some("alice.phone works"));
    }

    #[test]
    fn presence_lasts_until_something_else_is_seen_and_sockets_have_names() {
        let mut run = Run::new("a.yaml", "", "it");
        run.history.call("u", "alice");
        for (connection, sid) in [(1, "sA"), (2, "sB")] {
            run.history.push(at(1), opened(connection));
            let packet = format!("40{{\"sid\":\"{sid}\"}}");
            let connection = ConnectionId(connection);
            run.history.push(at(1), What::Received { connection, packet });
        }
        for (time, ids) in
            [(2, vec![]), (3, vec!["sA"]), (4, vec!["sA"]), (5, vec!["sA", "sB", "x"])]
        {
            let sockets = ids.into_iter().map(str::to_owned).collect();
            let (user, began) = ("u".to_owned(), at(time));
            run.history.push(at(time), What::Presence { user, began, sockets });
        }
        let timeline = Timeline::of(&run, Limits { frames: 9, packet_chars: 99 });
        assert_eq!(timeline.users, ["alice"]);
        let seen: Vec<_> =
            timeline.presence.iter().map(|it| (it.from, it.to, it.sockets.join("+"))).collect();
        let expected = [
            (2_000, 3_000, String::new()),
            (3_000, 5_000, "alice.phone.socket1".to_owned()),
            (5_000, 5_000, "alice.phone.socket+alice.phone.socket1+x".to_owned()),
        ];
        assert_eq!(seen, expected);
    }
}

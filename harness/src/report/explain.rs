//! What led to a failure, in words with times: faults, connections, presence, and what became of the messages it is about.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use crate::{
    history::{IdNames, Story, What, moment, shown},
    verdict::{Failure, Run},
};

/// What comes so soon after a failure belongs to it: a gateway that has noticed closes its connection a little later.
const MOMENT: Duration = Duration::from_millis(250);

/// Most sentences of one explanation: the newest ones.
const SENTENCES_MAX: usize = 14;

/// Most sentences up to the moment of a finding.
const SENTENCES_BEFORE_MAX: usize = 8;

/// Most sentences after it.
const SENTENCES_AFTER_MAX: usize = 6;

/// Sentences in the order of time, up to the failure; the last one says how late it was.
pub fn explain(run: &Run, failure: &Failure) -> Vec<String> {
    let mut seen = seen(run, failure);
    let end = failure.at + MOMENT;
    seen.retain(|(at, _)| *at <= end);
    let mut sentences: Vec<String> = seen.into_iter().map(|(_, text)| text).collect();
    let hidden = sentences.len().saturating_sub(SENTENCES_MAX);
    if hidden > 0 {
        sentences.drain(..hidden);
        sentences.insert(0, format!("({hidden} earlier ones are left out)"));
    }
    match (failure.limit, failure.late) {
        (Some(limit), Some(late)) => {
            sentences.push(format!("your limit was {}: {} late", shown(limit), shown(late)));
        }
        (Some(limit), None) => {
            let text =
                format!("your limit was {}: it was not true even a while later", shown(limit));
            sentences.push(text);
        }
        (None, _) => {}
    }
    sentences
}

/// Sentences around the moment of a finding: it is often about what came, or did not come, afterwards.
pub(super) fn explain_around(run: &Run, failure: &Failure) -> Vec<String> {
    let mut seen = seen(run, failure);
    let after = seen.split_off(seen.partition_point(|(at, _)| *at <= failure.at));
    let hidden = seen.len().saturating_sub(SENTENCES_BEFORE_MAX);
    let mut sentences = Vec::new();
    if hidden > 0 {
        sentences.push(format!("({hidden} earlier ones are left out)"));
    }
    sentences.extend(seen.drain(hidden..).map(|(_, text)| text));
    let more = after.len().saturating_sub(SENTENCES_AFTER_MAX);
    sentences.extend(after.into_iter().take(SENTENCES_AFTER_MAX).map(|(_, text)| text));
    if more > 0 {
        sentences.push(format!("({more} later ones are left out)"));
    }
    sentences
}

/// All that is known of who and what a failure is about, in the order of time.
fn seen(run: &Run, failure: &Failure) -> Seen {
    let about = About::of(run, failure);
    let mut seen = faults(run, &about);
    seen.extend(connections(run, &about));
    seen.extend(presence(run, &about));
    seen.extend(messages(run, &about));
    let speaks_of_rooms = ["join", "leave"].iter().any(|verb| failure.step.starts_with(verb));
    seen.extend(stays(run, &about, speaks_of_rooms));
    seen.sort();
    seen.dedup();
    let names = IdNames::new(&run.history, &about.story);
    seen.into_iter().map(|(at, text)| (at, names.in_words(&text))).collect()
}

/// Who and what a failure is about.
struct About {
    story: Story,
    devices: BTreeSet<String>,
    actors: BTreeSet<String>,
    messages: BTreeSet<String>,
    /// Rooms of which every message matters.
    rooms: BTreeSet<String>,
}

impl About {
    fn of(run: &Run, failure: &Failure) -> Self {
        let story = Story::read(&run.history);
        let known: BTreeSet<String> =
            story.connections.values().map(|it| it.device.clone()).collect();
        let (mut devices, mut actors, mut messages) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let is_room = |name: &String| {
            let rooms = story.sent.iter().filter_map(|sent| sent.id("roomId"));
            rooms.into_iter().any(|room| run.history.name(&room) == format!("`{name}`"))
        };
        let rooms: BTreeSet<String> =
            failure.about.iter().filter(|it| is_room(it)).cloned().collect();
        for name in &failure.about {
            let of_actor = known.iter().filter(|device| {
                *device == name || device.split_once('.').is_some_and(|(actor, _)| actor == name)
            });
            let before = devices.len();
            devices.extend(of_actor.cloned());
            if devices.len() == before && !known.contains(name) {
                messages.insert(name.clone());
            }
        }
        for device in &devices {
            actors.extend(device.split_once('.').map(|(actor, _)| actor.to_owned()));
        }
        // Of a room whose messages are named they say it all.
        let names_messages = messages.iter().any(|name| !rooms.contains(name));
        let rooms = if names_messages { BTreeSet::new() } else { rooms };
        Self { story, devices, actors, messages, rooms }
    }

    /// `hi`, or `hi[3]`, which is one of them.
    fn is_message(&self, name: &str) -> bool {
        let base = name.split(['[', '@']).next().unwrap_or(name);
        self.messages.contains(name) || self.messages.contains(base)
    }

    /// Whether it is a room of which every message matters, by its name in backticks.
    fn is_room(&self, name: &str) -> bool {
        self.rooms.contains(name.trim_matches('`'))
    }
}

type Seen = Vec<(Duration, String)>;

/// What was broken: processes, and the devices that it is about.
fn faults(run: &Run, about: &About) -> Seen {
    let mut seen = Seen::new();
    let matters = |what: &str| {
        !what.contains('.') || about.devices.is_empty() || about.devices.contains(what)
    };
    for entry in run.history.entries() {
        let at = moment(entry.at);
        if let What::Broken { what, text } | What::Mended { what, text } = &entry.what {
            if !matters(what) {
                continue;
            }
            seen.push((entry.at, format!("{text} at {at}")));
        } else if let What::Published { topic, value, .. } = &entry.what {
            let record: Value = serde_json::from_str(value).unwrap_or_default();
            let what = record["clientMsgId"]
                .as_str()
                .map_or_else(|| "a record".to_owned(), |id| run.history.name(&id.to_lowercase()));
            seen.push((entry.at, format!("another program writes {what} into {topic} at {at}")));
        }
    }
    seen
}

fn connections(run: &Run, about: &About) -> Seen {
    let mut seen = Seen::new();
    for known in about.story.connections.values().filter(|it| about.devices.contains(&it.device)) {
        let (device, gateway) = (&known.device, &known.gateway);
        if let Some(at) = known.welcomed {
            seen.push((at, format!("{device} connected to {gateway} at {}", moment(at))));
        }
        if let Some(at) = known.given_up {
            seen.push((at, format!("{gateway} noticed that {device} was gone at {}", moment(at))));
        }
        // Of a crash its own sentence says more.
        if let Some(at) = known.ended().filter(|at| !has_crashed(run, device, *at)) {
            seen.push((at, format!("{device}'s connection ended at {}", moment(at))));
        }
    }
    seen
}

fn has_crashed(run: &Run, device: &str, at: Duration) -> bool {
    run.history.entries().iter().any(|entry| {
        matches!(&entry.what, What::Broken { what, .. } if what == device)
            && entry.at <= at
            && at < entry.at + Duration::from_millis(20)
    })
}

/// Each change of what the presence of the actors was seen to be.
fn presence(run: &Run, about: &About) -> Seen {
    let mut seen = Seen::new();
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for look in &about.story.presence {
        let actor = run.history.name(&look.user).trim_matches('`').to_owned();
        if !about.actors.contains(&actor) {
            continue;
        }
        let count = look.sockets.len();
        if last.insert(actor.clone(), count) != Some(count) {
            let sockets = if count == 1 { "socket" } else { "sockets" };
            let text =
                format!("{actor} was listed with {count} {sockets} from {}", moment(look.at));
            seen.push((look.at, text));
        }
    }
    seen
}

fn messages(run: &Run, about: &About) -> Seen {
    let mut seen = Seen::new();
    let mut known = BTreeSet::new();
    for sent in about.story.sent.iter().filter(|sent| sent.event == "sendMessage") {
        let Some(name) = sent.id("clientMsgId").map(|id| run.history.name(&id)) else { continue };
        let room = sent.id("roomId").map(|id| run.history.name(&id)).unwrap_or_default();
        if !about.is_message(name.trim_matches('`')) && !about.is_room(&room) {
            continue;
        }
        let device = about.story.device(sent.connection);
        let again = if known.insert(name.clone()) { "" } else { " again" };
        seen.push((sent.at, format!("{device} sent {name}{again} at {}", moment(sent.at))));
        for (at, ack) in &sent.acks {
            let word = ack["error"].as_str().or(ack["status"].as_str()).unwrap_or("something else");
            seen.push((*at, format!("{name} was answered `{word}` at {}", moment(*at))));
        }
    }
    for heard in &about.story.deliveries {
        let name = run.history.name(&heard.id("clientMsgId"));
        // Of a whole room who heard what would hide what was sent.
        if about.is_message(name.trim_matches('`')) {
            let device = about.story.device(heard.connection);
            seen.push((heard.at, format!("{device} heard {name} at {}", moment(heard.at))));
        }
    }
    seen
}

/// Who of those that it is about came into the rooms of its messages, or left them, or wanted to.
/// `all`: whatever the rooms are.
fn stays(run: &Run, about: &About, all: bool) -> Seen {
    let story = &about.story;
    let mut rooms: BTreeSet<String> = BTreeSet::new();
    for sent in story.sent.iter().filter(|sent| sent.event == "sendMessage") {
        let Some((id, room)) = sent.id("clientMsgId").zip(sent.id("roomId")) else { continue };
        let is_meant = about.is_message(run.history.name(&id).trim_matches('`'))
            || about.is_room(&run.history.name(&room));
        if is_meant {
            rooms.insert(room);
        }
    }
    for (_, record) in &story.published {
        let id = |field: &str| record[field].as_str().unwrap_or_default().to_lowercase();
        if about.is_message(run.history.name(&id("clientMsgId")).trim_matches('`')) {
            rooms.insert(id("roomId"));
        }
    }
    let is_meant = |room: &str| all || rooms.contains(&room.to_lowercase());
    let mut seen = Seen::new();
    for sent in &story.sent {
        let (done, verb) = match sent.event.as_str() {
            "joinRoom" => ("joined", "join"),
            "leaveRoom" => ("left", "leave"),
            _ => continue,
        };
        let device = story.device(sent.connection);
        let room = sent.id("roomId").filter(|room| is_meant(room));
        let Some(room) = room.filter(|_| about.devices.contains(device)) else { continue };
        let room = run.history.name(&room);
        seen.extend(sent.acks.iter().map(|(at, ack)| {
            let what = match ack["error"].as_str() {
                Some(error) => format!("{device} asked to {verb} {room} and heard `{error}`"),
                None => format!("{device} {done} {room}"),
            };
            (*at, format!("{what} at {}", moment(*at)))
        }));
    }
    for entry in run.history.entries() {
        let What::Called { user, call, status, .. } = &entry.what else { continue };
        let user = run.history.name(user).trim_matches('`').to_owned();
        let change = call.strip_prefix("POST /rooms/").and_then(|rest| rest.split_once('/'));
        if let Some((room, verb)) = change
            && about.actors.contains(&user)
            && is_meant(room)
        {
            let (room, at) = (run.history.name(room), moment(entry.at));
            let answer = match status {
                0 => "and was not answered, until".to_owned(),
                _ => format!("answered {status} at"),
            };
            let text = format!("{user} asked over HTTP to {verb} {room}, {answer} {at}");
            seen.push((entry.at, text));
        }
    }
    seen
}

//! A message sequence diagram in plain text: who said what to whom before a failure, with only the lanes that matter.

use std::{collections::BTreeSet, time::Duration};

use super::packet::{in_words, short, status_in_words};
use crate::{
    history::{ConnectionId, IdNames, Story, What, id_and_json, moment},
    verdict::{Failure, Run},
};

/// Most rows: the newest ones before the failure.
const ROWS_MAX: usize = 24;

/// From one lane to the next, in characters.
const LANE_CHARS: usize = 38;

/// Before the first lane: the time.
const TIME_CHARS: usize = 10;

/// Most rows after the moment of a finding.
const ROWS_AFTER_MAX: usize = 10;

/// Most rows before it.
const ROWS_BEFORE_MAX: usize = 14;

/// The diagram of a failure, a line each; empty if nothing was said.
pub fn sequence(run: &Run, failure: &Failure) -> Vec<String> {
    let (lanes, mut rows) = read(run, failure);
    rows.retain(|(at, _)| *at <= failure.at);
    drawn(&lanes, ROWS_MAX, &rows, None, &[])
}

/// The diagram around the moment of a finding, which `mark` names in it; empty if nothing was said.
pub(super) fn sequence_around(run: &Run, failure: &Failure, mark: &str) -> Vec<String> {
    let (lanes, mut rows) = read(run, failure);
    let after = rows.split_off(rows.partition_point(|(at, _)| *at <= failure.at));
    let mark = note(failure.at, &format!("--- {mark} ---"));
    drawn(&lanes, ROWS_BEFORE_MAX, &rows, Some(mark), &after)
}

/// A row, and when it was.
type Row = (Duration, String);

/// The newest ones `before`, then the oldest ones `after`, and how many are left out.
fn drawn(
    lanes: &[String],
    before_max: usize,
    before: &[Row],
    mark: Option<String>,
    after: &[Row],
) -> Vec<String> {
    if before.is_empty() && after.is_empty() {
        return Vec::new();
    }
    let text = |(_, text): &Row| text.clone();
    let left_out = |hidden: usize, which: &str| {
        (hidden > 0).then(|| format!("{:TIME_CHARS$}({hidden} {which} rows are left out)", ""))
    };
    let hidden = before.len().saturating_sub(before_max);
    let mut diagram = vec![head(lanes)];
    diagram.extend(left_out(hidden, "earlier"));
    diagram.extend(before[hidden..].iter().map(text));
    diagram.extend(mark);
    diagram.extend(after.iter().take(ROWS_AFTER_MAX).map(text));
    diagram.extend(left_out(after.len().saturating_sub(ROWS_AFTER_MAX), "later"));
    diagram
}

/// The lanes that matter, and all rows between them.
fn read(run: &Run, failure: &Failure) -> (Vec<String>, Vec<Row>) {
    let story = Story::read(&run.history);
    let devices = devices_of(run, failure, &story);
    let mut ways: BTreeSet<(String, String)> = story
        .connections
        .values()
        .filter(|known| devices.contains(&known.device))
        .map(|known| (known.device.clone(), known.gateway.clone()))
        .collect();
    ways.extend(callers(run, failure, &devices));
    let lanes = lanes(&ways);
    let rows = rows(run, &story, &lanes, failure.step.contains("heartbeat"));
    (lanes, rows)
}

/// The devices that a failure is about, and those that sent the messages it is about; all of them if it names none.
fn devices_of(run: &Run, failure: &Failure, story: &Story) -> BTreeSet<String> {
    let is_about = |name: &str| {
        let base = name.split(['.', '[', '@']).next().unwrap_or(name);
        failure.about.iter().any(|about| about == name || about == base)
    };
    let all = || story.connections.values().map(|known| known.device.clone());
    let mut devices: BTreeSet<String> = all().filter(|device| is_about(device)).collect();
    for sent in &story.sent {
        // A message, or a room that it was sent to.
        let ids =
            [sent.id("clientMsgId"), sent.id("roomId").filter(|_| sent.event == "sendMessage")];
        let mut names = ids.into_iter().flatten().map(|id| run.history.name(&id));
        if names.any(|name| is_about(name.trim_matches('`'))) {
            devices.insert(story.device(sent.connection).to_owned());
        }
    }
    if devices.is_empty() { all().collect() } else { devices }
}

/// Who made requests, and of which gateway: those that a failure is about, and the people behind its devices.
fn callers(run: &Run, failure: &Failure, devices: &BTreeSet<String>) -> BTreeSet<(String, String)> {
    let is_theirs = |device: &String, name: &str| {
        device.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
    };
    let calls = run.history.entries().iter().filter_map(|entry| {
        let What::Called { user, gateway: Some(gateway), .. } = &entry.what else { return None };
        let name = run.history.name(user).trim_matches('`').to_owned();
        let is_meant = failure.about.is_empty()
            || failure.about.contains(&name)
            || devices.iter().any(|device| is_theirs(device, &name));
        is_meant.then(|| (name, gateway.clone()))
    });
    calls.collect()
}

/// Each gateway stands between those that speak to it. Who speaks to several stands at the first one.
fn lanes(ways: &BTreeSet<(String, String)>) -> Vec<String> {
    let gateways: BTreeSet<&str> = ways.iter().map(|(_, gateway)| gateway.as_str()).collect();
    let mut lanes: Vec<String> = Vec::new();
    for gateway in gateways {
        let here = ways.iter().filter(|(_, it)| it == gateway).map(|(name, _)| name);
        let mut here: Vec<String> = here.filter(|name| !lanes.contains(name)).cloned().collect();
        let right = here.split_off(here.len().div_ceil(2));
        lanes.extend(here);
        lanes.push(gateway.to_owned());
        lanes.extend(right);
    }
    lanes
}

fn rows(run: &Run, story: &Story, lanes: &[String], speaks_of_beats: bool) -> Vec<Row> {
    let lane = |name: &str| lanes.iter().position(|lane| lane == name);
    let names = IdNames::new(&run.history, story);
    let mut rows = Vec::new();
    let mut beats = BTreeSet::new();
    let mut last_call = None;
    for entry in run.history.entries() {
        let (connection, packet, is_up) = match &entry.what {
            What::Sent { connection, packet } => (connection, packet, true),
            What::Received { connection, packet } => (connection, packet, false),
            What::Broken { text, .. } | What::Mended { text, .. } => {
                rows.push((entry.at, note(entry.at, &format!("*** {text} ***"))));
                continue;
            }
            What::Published { topic, .. } => {
                let text = format!("*** another program writes into {topic} ***");
                rows.push((entry.at, note(entry.at, &text)));
                continue;
            }
            What::Died { what, .. } => {
                rows.push((entry.at, note(entry.at, &format!("*** {what} was found dead ***"))));
                continue;
            }
            What::Called { user, gateway, call, status, .. } => {
                let user = run.history.name(user);
                let gateway = gateway.as_deref().and_then(lane);
                if let (Some(user), Some(gateway)) = (lane(user.trim_matches('`')), gateway) {
                    let room = words_max(user, gateway);
                    let words = call_in_words(&names.in_text(call), *status, room);
                    // Of one that is asked again and again the first says it all.
                    let row = (user, gateway, words.clone());
                    if last_call.as_ref() == Some(&(rows.len(), row.clone())) {
                        continue;
                    }
                    rows.push((entry.at, arrow(entry.at, lanes.len(), user, gateway, &words)));
                    last_call = Some((rows.len(), row));
                }
                continue;
            }
            What::Opened { .. }
            | What::Closed { .. }
            | What::GivenUp { .. }
            | What::Step { .. }
            | What::Presence { .. }
            | What::StillPolls { .. }
            | What::Rows { .. }
            | What::Kept { .. }
            | What::Unreadable { .. }
            | What::Stored { .. } => continue,
        };
        let Some(known) = story.connections.get(connection) else { continue };
        let (Some(device), Some(gateway)) = (lane(&known.device), lane(&known.gateway)) else {
            continue;
        };
        // What devices send all the time would hide everything else.
        if !speaks_of_beats && is_beat(*connection, packet, is_up, &mut beats) {
            continue;
        }
        let Some(words) = in_words(&names, packet) else { continue };
        let (from, to) = if is_up { (device, gateway) } else { (gateway, device) };
        rows.push((entry.at, arrow(entry.at, lanes.len(), from, to, &words)));
    }
    rows
}

/// Whether a packet is a heartbeat or the answer to one; `beats`: those that wait for theirs.
fn is_beat(
    connection: ConnectionId,
    packet: &str,
    is_up: bool,
    beats: &mut BTreeSet<(ConnectionId, u64)>,
) -> bool {
    let head = if is_up { "42" } else { "43" };
    let Some((id, json)) = packet.strip_prefix(head).and_then(id_and_json) else { return false };
    if !is_up {
        return id.is_some_and(|id| beats.remove(&(connection, id)));
    }
    let is_beat = json[0] == "heartbeat";
    beats.extend(id.filter(|_| is_beat).map(|id| (connection, id)));
    is_beat
}

/// `GET /rooms -> 200`. Of a long call the status is still seen.
fn call_in_words(call: &str, status: u16, chars_max: usize) -> String {
    let answer = format!(" -> {}", status_in_words(status));
    let room = chars_max.saturating_sub(answer.len());
    if call.chars().count() <= room {
        return format!("{call}{answer}");
    }
    let begin: String = call.chars().take(room.saturating_sub(1)).collect();
    format!("{begin}…{answer}")
}

/// How many characters have room on an arrow between two lanes.
fn words_max(from: usize, to: usize) -> usize {
    (from.abs_diff(to) * LANE_CHARS).saturating_sub(7)
}

/// Where a lane stands in a line.
fn column(lane: usize) -> usize {
    TIME_CHARS + 6 + lane * LANE_CHARS
}

fn head(lanes: &[String]) -> String {
    let mut line = vec![' '; column(lanes.len())];
    for (index, name) in lanes.iter().enumerate() {
        let begin = column(index).saturating_sub(name.chars().count() / 2);
        for (place, c) in line[begin..].iter_mut().zip(name.chars()) {
            *place = c;
        }
    }
    text(&line)
}

fn arrow(at: Duration, lanes: usize, from: usize, to: usize, words: &str) -> String {
    let mut line = vec![' '; column(lanes)];
    write_at(&mut line, 0, &format!("{:>8}", moment(at)));
    for lane in 0..lanes {
        line[column(lane)] = '│';
    }
    let (left, right) = (column(from.min(to)) + 1, column(from.max(to)));
    if left >= right {
        // Somebody has a gateway's name.
        return text(&line);
    }
    line[left..right].fill('─');
    let label = label(words, right - left - 4);
    let begin = left + (right - left - label.chars().count()) / 2;
    write_at(&mut line, begin, &label);
    if to > from {
        line[right - 1] = '>';
    } else {
        line[left] = '<';
    }
    text(&line)
}

/// The words between two blanks; what is too long for it ends in `…`.
fn label(words: &str, chars_max: usize) -> String {
    let room = chars_max.saturating_sub(2);
    if words.chars().count() <= room {
        return format!(" {words} ");
    }
    let begin: String = words.chars().take(room.saturating_sub(1)).collect();
    format!(" {begin}… ")
}

fn note(at: Duration, words: &str) -> String {
    format!("{:>8}    {}", moment(at), short(words))
}

fn write_at(line: &mut [char], at: usize, words: &str) {
    for (place, c) in line[at..].iter_mut().zip(words.chars()) {
        *place = c;
    }
}

fn text(line: &[char]) -> String {
    line.iter().collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(user: &str, gateway: &str, call: &str, status: u16) -> What {
        let (user, call) = (user.to_owned(), call.to_owned());
        let (gateway, began) = (Some(gateway.to_owned()), Duration::ZERO);
        let (reply, headers) = (serde_json::Value::Null, std::collections::BTreeMap::new());
        What::Called { user, gateway, is_admin: false, call, began, status, reply, headers }
    }

    #[test]
    fn a_request_goes_from_its_user_to_the_gateway() {
        let mut run = Run::new("a.yaml", "", "it");
        run.history.call("u", "alice");
        let at = Duration::from_millis(10);
        run.history.push(at, called("u", "gw1", "GET /rooms", 200));
        run.history.push(at, called("u", "gw1", "GET /rooms/general/messages?limit=1", 503));
        run.history.push(at, called("v", "gw2", "POST /rooms", 201));
        let about = vec!["alice".to_owned()];
        let failure = Failure { about, at, ..Failure::default() };
        let diagram = sequence(&run, &failure);
        let expected = [
            "              alice                                  gw1",
            "  0.01 s        │───────── GET /rooms -> 200 ────────>│",
            "  0.01 s        │── GET /rooms/general/mess… -> 503 ─>│",
        ];
        assert_eq!(diagram, expected);
    }
}

//! A message sequence diagram in plain text: who said what to whom before a failure, with only the lanes that matter.

use std::{collections::BTreeSet, time::Duration};

use super::packet::{in_words, short};
use crate::{
    history::{Story, What, moment},
    verdict::{Failure, Run},
};

/// Most rows: the newest ones before the failure.
const ROWS_MAX: usize = 24;

/// From one lane to the next, in characters.
const LANE_CHARS: usize = 34;

/// Before the first lane: the time.
const TIME_CHARS: usize = 10;

/// The diagram of a failure, a line each; empty if nothing was said.
pub fn sequence(run: &Run, failure: &Failure) -> Vec<String> {
    let story = Story::read(&run.history);
    let devices = devices_of(run, failure, &story);
    let mut gateways = BTreeSet::new();
    for known in story.connections.values().filter(|it| devices.contains(&it.device)) {
        gateways.insert(known.gateway.clone());
    }
    let lanes = lanes(&devices, &gateways, &story);
    let mut rows = rows(run, failure.at, &story, &lanes);
    if rows.is_empty() {
        return rows;
    }
    let hidden = rows.len().saturating_sub(ROWS_MAX);
    rows.drain(..hidden);
    let mut diagram = vec![head(&lanes)];
    if hidden > 0 {
        diagram.push(format!("{:TIME_CHARS$}({hidden} earlier rows are left out)", ""));
    }
    diagram.extend(rows);
    diagram
}

/// The devices that a failure is about, and those that sent the messages it is about; all of them if it names none.
fn devices_of(run: &Run, failure: &Failure, story: &Story) -> BTreeSet<String> {
    let is_about = |name: &str| {
        let base = name.split(['.', '[']).next().unwrap_or(name);
        failure.about.iter().any(|about| about == name || about == base)
    };
    let all = || story.connections.values().map(|known| known.device.clone());
    let mut devices: BTreeSet<String> = all().filter(|device| is_about(device)).collect();
    for sent in &story.sent {
        let name = sent.id("clientMsgId").map(|id| run.history.name(&id));
        if name.is_some_and(|name| is_about(name.trim_matches('`'))) {
            devices.insert(story.device(sent.connection).to_owned());
        }
    }
    if devices.is_empty() { all().collect() } else { devices }
}

/// Each gateway stands between its devices.
fn lanes(devices: &BTreeSet<String>, gateways: &BTreeSet<String>, story: &Story) -> Vec<String> {
    let mut lanes = Vec::new();
    for gateway in gateways {
        let is_here = |device: &&String| {
            let mut of_device = story.connections.values().filter(|it| it.device == **device);
            of_device.any(|it| it.gateway == *gateway)
        };
        let mut here: Vec<String> = devices.iter().filter(is_here).cloned().collect();
        let right = here.split_off(here.len().div_ceil(2));
        lanes.extend(here);
        lanes.push(gateway.clone());
        lanes.extend(right);
    }
    lanes
}

fn rows(run: &Run, until: Duration, story: &Story, lanes: &[String]) -> Vec<String> {
    let lane = |name: &str| lanes.iter().position(|lane| lane == name);
    let mut rows = Vec::new();
    for entry in run.history.entries().iter().take_while(|entry| entry.at <= until) {
        let (connection, packet, is_up) = match &entry.what {
            What::Sent { connection, packet } => (connection, packet, true),
            What::Received { connection, packet } => (connection, packet, false),
            What::Broken { text, .. } | What::Mended { text, .. } => {
                rows.push(note(entry.at, &format!("*** {text} ***")));
                continue;
            }
            What::Died { what, .. } => {
                rows.push(note(entry.at, &format!("*** {what} was found dead ***")));
                continue;
            }
            What::Opened { .. }
            | What::Closed { .. }
            | What::GivenUp { .. }
            | What::Called { .. }
            | What::Step { .. }
            | What::Presence { .. }
            | What::Rows { .. }
            | What::Kept { .. }
            | What::Unreadable { .. }
            | What::Stored { .. } => continue,
        };
        let Some(known) = story.connections.get(connection) else { continue };
        let (Some(device), Some(gateway)) = (lane(&known.device), lane(&known.gateway)) else {
            continue;
        };
        let Some(words) = in_words(&run.history, packet) else { continue };
        let (from, to) = if is_up { (device, gateway) } else { (gateway, device) };
        rows.push(arrow(entry.at, lanes.len(), from, to, &words));
    }
    rows
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
    line[left..right].fill('─');
    let label: String = format!(" {words} ").chars().take(right - left - 4).collect();
    let begin = left + (right - left - label.chars().count()) / 2;
    write_at(&mut line, begin, &label);
    if to > from {
        line[right - 1] = '>';
    } else {
        line[left] = '<';
    }
    text(&line)
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

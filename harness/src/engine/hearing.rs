//! Steps about who hears a message: `deliver` and `never`.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    expect::LATE_LIMIT,
    observe,
    steps::{Aside, Running, StepResult, wrong},
    talk::about,
    world::Named,
};
use crate::{
    history::{Delivery, Sent, Story, shown},
    scenario::{Deliver, Never},
    verdict::{Failure, Margin},
};

/// How long a message may take until it is stored, and how often we look.
const STORED_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// How long a delivery may take where the step does not say: it is never there at once.
const DELIVER_LIMIT: Duration = Duration::from_secs(5);

impl Running<'_> {
    pub(super) async fn deliver(&self, deliver: &Deliver) -> StepResult {
        self.judge();
        let limit = deliver.within.as_ref().map_or(DELIVER_LIMIT, |it| self.world.length(it));
        let times = deliver.times.as_ref().map_or(1, |times| times.value);
        let named = self.all_named(deliver)?;
        let devices = self.world.who(&deliver.to.value);
        let recorder = &self.world.recorder;
        let (began, from) = (Instant::now(), recorder.now());
        // When the last one came that was wanted, whenever we look.
        let all_heard = |story: &Story| -> Option<Duration> {
            let pairs = devices.iter().flat_map(|device| named.iter().map(move |it| (device, it)));
            let last = |(device, message): (&String, &Named)| {
                let mut heard = heard(story, device, message);
                times.checked_sub(1).map_or(Some(Duration::ZERO), |n| Some(heard.nth(n)?.at))
            };
            pairs.map(last).try_fold(Duration::ZERO, |latest, at| Some(latest.max(at?)))
        };
        let used = |at: Duration| at.saturating_sub(from);
        let in_time = recorder.until(began + limit, all_heard).await.map(used);
        let Some(used) = in_time.filter(|used| *used <= limit) else {
            let mut failure = self.not_delivered(deliver, &named, times, limit, from + limit);
            let late = recorder.until(began + limit + LATE_LIMIT, all_heard).await;
            failure.late = late.map(|at| used(at).saturating_sub(limit));
            return Err(failure);
        };
        let what = in_words(deliver);
        let too_often = recorder.look(|story| {
            named.iter().find_map(|message| {
                let heard = counts(story, message).into_iter();
                let mut theirs = heard.filter(|(device, _)| devices.iter().any(|it| it == device));
                theirs.find(|(_, n)| *n > times).map(|(device, n)| (device.to_owned(), n))
            })
        });
        if let Some((device, count)) = too_often {
            let expected = format!("{device} hears {what} {}", how_often(times));
            return Err(about(wrong(expected, how_often(count)), &device));
        }
        if deliver.messages.is_some() {
            self.in_order(&named, &devices)?;
        }
        Ok(deliver.within.as_ref().map(|_| Aside::Margin(Margin { used, limit })))
    }

    /// Whether each device heard each message first in the order in which they are named.
    fn in_order(&self, wanted: &[Named], devices: &[String]) -> Result<(), Failure> {
        let history = self.world.recorder.history();
        for device in devices {
            let mut seen: Vec<(Duration, &str)> = self.world.recorder.look(|story| {
                let firsts = wanted.iter().filter_map(|message| {
                    let first = heard(story, device, message).next()?;
                    Some((first.at, message.client_msg_id.as_str()))
                });
                firsts.collect()
            });
            seen.sort_by_key(|(at, _)| *at);
            let seen: Vec<String> = seen.iter().map(|(_, id)| history.name(id)).collect();
            let wanted: Vec<String> =
                wanted.iter().map(|message| history.name(&message.client_msg_id)).collect();
            if seen != wanted {
                let expected = format!("{device} hears {} in this order", wanted.join(", "));
                let failure = about(wrong(expected, seen.join(", ")), device);
                let names = wanted.iter().map(|name| name.trim_matches('`'));
                return Err(names.fold(failure, about));
            }
        }
        Ok(())
    }

    fn all_named(&self, deliver: &Deliver) -> Result<Vec<Named>, Failure> {
        let mut named = Vec::new();
        for name in deliver.names() {
            named.extend(self.messages_named(&name.value)?);
        }
        Ok(named)
    }

    fn not_delivered(
        &self,
        deliver: &Deliver,
        named: &[Named],
        times: usize,
        limit: Duration,
        end: Duration,
    ) -> Failure {
        let devices = self.world.who(&deliver.to.value);
        let (missing, seen) = self.world.recorder.look(|story| {
            let mut missing = Vec::new();
            let mut seen = Vec::new();
            for device in &devices {
                let times_of = |message: &Named| {
                    heard(story, device, message).filter(|heard| heard.at <= end).count()
                };
                let count = named.iter().filter(|it| times_of(it) >= times).count();
                if count == named.len() {
                    continue;
                }
                missing.push(device.clone());
                seen.push(match named {
                    [message] => {
                        format!("{device} heard it {} in time", how_often(times_of(message)))
                    }
                    _ if times == 1 => format!("{device} heard {count} of {}", named.len()),
                    _ => {
                        format!(
                            "{device} heard {count} of {} {} each",
                            named.len(),
                            how_often(times)
                        )
                    }
                });
            }
            (missing, seen)
        });
        let often = if times == 1 { String::new() } else { format!(" {}", how_often(times)) };
        let (what, devices) = (in_words(deliver), devices.join(", "));
        let expected = format!("{what} reaches {devices}{often} within {}", shown(limit));
        let mut failure = wrong(expected, seen.join("; "));
        failure.limit = Some(limit);
        let messages = deliver.names().map(|name| &name.value);
        missing.iter().chain(messages).fold(failure, |failure, name| about(failure, name))
    }

    pub(super) async fn never(&self, never: &Never) -> StepResult {
        let limit = self.world.length(&never.lasting);
        let named = self.messages_named(&never.message.value)?;
        let devices = self.world.who(&never.to.value);
        let message = &never.message.value;
        let anybody = |story: &Story| {
            let by = |message: &Named| -> Option<String> {
                let heard = counts(story, message);
                devices.iter().find(|device| heard.contains_key(device.as_str())).cloned()
            };
            named.iter().find_map(by)
        };
        let recorder = &self.world.recorder;
        let deadline = Instant::now() + limit;
        if let Some(device) = recorder.until(deadline, anybody).await {
            let expected = format!("{device} never hears `{message}`");
            return Err(about(about(wrong(expected, "it did"), &device), message));
        }
        // Before it is stored nobody can hear it: that it stays away afterwards is what is to be seen.
        let was_told = self.is_told(&named, Duration::ZERO).await;
        if !was_told && !self.is_told(&named, STORED_LIMIT).await {
            return Ok(Some(Aside::Vacuous(format!(
                "nobody heard `{message}`, it was not refused, and it is not stored yet: that {} did not hear it says nothing",
                devices.join(", ")
            ))));
        }
        if !was_told && let Some(device) = recorder.until(Instant::now() + limit, anybody).await {
            let expected = format!("{device} never hears `{message}`");
            return Err(about(about(wrong(expected, "it did"), &device), message));
        }
        let said = recorder.look(|story| first_said(story, &named));
        let said = said.unwrap_or_else(|| recorder.now());
        if devices.iter().all(|device| self.world.was_deaf(device, said)) {
            return Ok(Some(Aside::Vacuous(cannot_hear(&devices))));
        }
        self.judge();
        Ok(None)
    }

    /// Whether by now, or in this time at the most, what becomes of them is settled or stored.
    async fn is_told(&self, named: &[Named], limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let open: Vec<&Named> = named.iter().filter(|it| !self.is_settled(it)).collect();
            if open.is_empty() || self.is_stored(&open).await {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL).await;
        }
    }

    /// Whether somebody has heard it, or it was refused, or it has to wait for what is broken.
    fn is_settled(&self, named: &Named) -> bool {
        let is_broken = self.world.all_broken().iter().any(|what| !what.contains('.'));
        let is_final =
            |ack: &Value| ack["status"] == "FAILED" || is_broken && ack["status"] == "ACCEPTED";
        self.world.recorder.look(|story| {
            let is_answered = |sent: &Sent| {
                sent.event == "sendMessage"
                    && sent.id("clientMsgId").as_ref() == Some(&named.client_msg_id)
                    && sent.acks.iter().any(|(_, ack)| is_final(ack))
            };
            story.deliveries_of(&named.client_msg_id).next().is_some()
                || story.sent.iter().any(is_answered)
        })
    }

    /// Whether all of them are in the history: who is in the room must have heard them by now, or will at once.
    async fn is_stored(&self, messages: &[&Named]) -> bool {
        let mut rooms: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for message in messages {
            let room = message.room.as_str();
            if !rooms.contains_key(room) {
                let ids = observe::history_ids(self.world, room).await.unwrap_or_default();
                rooms.insert(room, ids);
            }
            if !rooms[room].contains(&message.client_msg_id) {
                return false;
            }
        }
        true
    }
}

fn how_often(times: usize) -> String {
    match times {
        0 => "not at all".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{times} times"),
    }
}

/// Devices that no message could have reached.
fn cannot_hear(devices: &[String]) -> String {
    let verb = if devices.len() == 1 { "has" } else { "have" };
    format!("{} {verb} no connection that could have brought it", devices.join(", "))
}

/// When the first of these was sent, or written into a topic.
fn first_said(story: &Story, named: &[Named]) -> Option<Duration> {
    let is_named = |id: &str| named.iter().any(|it| it.client_msg_id.eq_ignore_ascii_case(id));
    let sent = story.sent.iter().filter(|sent| sent.event == "sendMessage");
    let sent = sent.filter(|sent| sent.id("clientMsgId").is_some_and(|id| is_named(&id)));
    let published = story
        .published
        .iter()
        .filter(|(_, record)| record["clientMsgId"].as_str().is_some_and(is_named));
    sent.map(|sent| sent.at).chain(published.map(|(at, _)| *at)).min()
}

/// What is to be delivered, by name.
fn in_words(deliver: &Deliver) -> String {
    let names: Vec<String> = deliver.names().map(|name| format!("`{}`", name.value)).collect();
    names.join(", ")
}

/// How often each device has heard a message, over all its connections.
fn counts<'s>(story: &'s Story, message: &Named) -> BTreeMap<&'s str, usize> {
    let mut counts = BTreeMap::new();
    for heard in story.deliveries_of(&message.client_msg_id).filter(|it| is_of(it, message)) {
        *counts.entry(story.device(heard.connection)).or_default() += 1;
    }
    counts
}

fn is_of(heard: &Delivery, message: &Named) -> bool {
    heard.id("roomId") == message.room && heard.id("senderId") == message.sender
}

/// Every time that a device heard a message, over all its connections.
fn heard<'s>(
    story: &'s Story,
    device: &'s str,
    message: &'s Named,
) -> impl Iterator<Item = &'s Delivery> {
    story
        .deliveries_of(&message.client_msg_id)
        .filter(move |heard| story.device(heard.connection) == device && is_of(heard, message))
}

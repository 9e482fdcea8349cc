//! Presence is true within its bounds: who is connected is listed, and nobody is listed long after.

use std::time::Duration;

use super::Finding;
use crate::{
    history::{History, PresenceSeen, Story, What, moment},
    scenario::TimeNames,
};

/// How soon a connection must be listed, and must be gone after a polite end; a busy machine included.
const SOON: Duration = Duration::from_secs(2);

pub(super) fn presence(
    history: &History,
    story: &Story,
    times: TimeNames,
    findings: &mut Vec<Finding>,
) {
    let faults = Faults::of(history);
    let mut known = std::collections::BTreeSet::new();
    for seen in &story.presence {
        for finding in [
            listed_too_long(history, story, &faults, times, seen),
            not_listed(history, story, &faults, times, seen),
        ] {
            // Once for each socket, not once for each look.
            if let Some((socket, text)) = finding
                && known.insert(socket)
            {
                findings.push(Finding { invariant: "presence", at: seen.at, text });
            }
        }
    }
}

/// An entry whose owner is gone for longer than its time.
fn listed_too_long(
    history: &History,
    story: &Story,
    faults: &Faults,
    times: TimeNames,
    seen: &PresenceSeen,
) -> Option<(String, String)> {
    seen.sockets.iter().find_map(|socket| {
        let owner = story.connections.values().find(|it| it.socket.as_ref() == Some(socket));
        let who = history.name(&seen.user);
        let Some(owner) = owner else {
            let text = format!("{who} is listed with the socket {socket}, which nobody has");
            return Some((socket.clone(), text));
        };
        let ended = owner.ended()?;
        let is_broken = faults.touch(&owner.device, Duration::ZERO, seen.at)
            || faults.touch_presence(Duration::ZERO, seen.at);
        let longest =
            if is_broken { times.ttl.max(times.lease).max(times.ping) + SOON } else { SOON };
        let gone_for = seen.at.saturating_sub(ended.max(faults.last_mended(seen.at)));
        (gone_for > longest).then(|| {
            let text = format!(
                "{} ended at {} and {who} was still listed with its socket at {}",
                owner.device,
                moment(ended),
                moment(seen.at)
            );
            (socket.clone(), text)
        })
    })
}

/// A connection that is not listed, though it has been there and has sent its heartbeats.
fn not_listed(
    history: &History,
    story: &Story,
    faults: &Faults,
    times: TimeNames,
    seen: &PresenceSeen,
) -> Option<(String, String)> {
    story.connections.iter().find_map(|(id, known)| {
        let (socket, welcomed) = (known.socket.clone()?, known.welcomed?);
        let is_there = known.user.eq_ignore_ascii_case(&seen.user)
            && welcomed + SOON < seen.at
            && known.ended().is_none_or(|ended| ended > seen.at);
        if !is_there || seen.sockets.contains(&socket) {
            return None;
        }
        let beats = story.sent.iter().filter(|sent| {
            sent.connection == *id && sent.event == "heartbeat" && sent.at < seen.at
        });
        let last = beats.map(|sent| sent.at).max().unwrap_or(welcomed);
        let is_expired = seen.at.saturating_sub(last) + Duration::from_secs(1) > times.ttl;
        let is_excused = is_expired
            || faults.touch(&known.device, Duration::ZERO, seen.at)
            || faults.touch_presence(welcomed, seen.at);
        (!is_excused).then(|| {
            let text = format!(
                "{} is connected since {} and {} was not listed with its socket at {}",
                known.device,
                moment(welcomed),
                history.name(&seen.user),
                moment(seen.at)
            );
            (socket, text)
        })
    })
}

/// What was broken, and when.
struct Faults(Vec<(Duration, String, bool)>);

impl Faults {
    fn of(history: &History) -> Self {
        let faults = history.entries().iter().filter_map(|entry| match &entry.what {
            What::Broken { what, .. } => Some((entry.at, what.clone(), true)),
            What::Mended { what, .. } => Some((entry.at, what.clone(), false)),
            What::Opened { .. }
            | What::Sent { .. }
            | What::Received { .. }
            | What::Closed { .. }
            | What::GivenUp { .. }
            | What::Called { .. }
            | What::Step { .. }
            | What::Presence { .. }
            | What::Died { .. }
            | What::Rows { .. }
            | What::Kept { .. }
            | What::Unreadable { .. }
            | What::Stored { .. } => None,
        });
        Self(faults.collect())
    }

    fn touch(&self, what: &str, from: Duration, to: Duration) -> bool {
        self.0.iter().any(|(at, broken, _)| broken == what && (from..=to).contains(at))
    }

    /// Whether a gateway or Redis was touched.
    fn touch_presence(&self, from: Duration, to: Duration) -> bool {
        self.0.iter().any(|(at, broken, _)| {
            (broken == "redis" || broken.starts_with("gw")) && (from..=to).contains(at)
        })
    }

    fn last_mended(&self, before: Duration) -> Duration {
        let mended = self.0.iter().filter(|(at, _, is_broken)| !is_broken && *at <= before);
        mended.map(|(at, ..)| *at).max().unwrap_or_default()
    }
}

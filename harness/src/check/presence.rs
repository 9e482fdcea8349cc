//! Presence is true within its bounds: who is connected is listed, and nobody is listed long after.
//!
//! A look shows what was so at some moment between its beginning and its answer, so only what is wrong for all of that time
//! is a finding.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Finding,
    faults::{Fault, may_hide_a_welcome},
};
use crate::{
    history::{Connection, ConnectionId, History, PresenceSeen, Story, moment},
    scenario::TimeNames,
};

/// How soon a connection must be listed, and must be gone after a polite end; a busy machine included.
const SOON: Duration = Duration::from_secs(2);

/// How long a heartbeat may be on its way.
const LATE: Duration = Duration::from_secs(1);

pub(super) fn presence(
    history: &History,
    story: &Story,
    times: TimeNames,
    findings: &mut Vec<Finding>,
) {
    let judge = Judge { history, story, times, faults: Fault::all(history) };
    let mut known = BTreeSet::new();
    for seen in &story.presence {
        for finding in [judge.wrongly_listed(seen), judge.not_listed(seen)] {
            // Once for each socket, not once for each look.
            if let Some((socket, text)) = finding
                && known.insert(socket)
            {
                findings.push(Finding { invariant: "presence", at: seen.at, text });
            }
        }
    }
}

struct Judge<'h> {
    history: &'h History,
    story: &'h Story,
    times: TimeNames,
    faults: Vec<Fault<'h>>,
}

impl Judge<'_> {
    /// An entry of nobody, of somebody else, or of a connection that is gone for longer than its time.
    fn wrongly_listed(&self, seen: &PresenceSeen) -> Option<(String, String)> {
        let who = self.history.name(&seen.user);
        seen.sockets.iter().find_map(|socket| {
            let mut connections = self.story.connections.values();
            let owner = connections.find(|it| it.socket.as_ref() == Some(socket));
            let text = match owner {
                None if may_hide_a_welcome(&self.faults) => return None,
                None => format!("{who} is listed with the socket {socket}, which nobody has"),
                Some(owner) if !owner.user.eq_ignore_ascii_case(&seen.user) => {
                    let at = moment(seen.at);
                    format!("{who} is listed at {at} with the socket of {}", owner.device)
                }
                Some(owner) => {
                    let ended = owner.ended()?;
                    if seen.began <= self.listed_until(owner, ended, seen.began) {
                        return None;
                    }
                    format!(
                        "{} ended at {} and {who} was still listed with its socket at {}",
                        owner.device,
                        moment(ended),
                        moment(seen.began)
                    )
                }
            };
            Some((socket.clone(), text))
        })
    }

    /// Until when a connection that has ended may be listed, as far as is known at `now`.
    fn listed_until(&self, owner: &Connection, ended: Duration, now: Duration) -> Duration {
        let mut faults = self.faults.iter().filter(|fault| !fault.was_over(owner.opened));
        // Nobody tells the gateway of a crash: the missing pong does, or in the end the TTL.
        let is_crash =
            faults.any(|fault| fault.what == owner.device && fault.touches(ended, ended, SOON));
        let TimeNames { ttl, ping, .. } = self.times;
        let mut latest = ended + SOON + if is_crash { ttl.max(ping) } else { Duration::ZERO };
        let writes = |fault: &&Fault<'_>| {
            fault.what == "redis" || fault.what == owner.gateway && !fault.was_over(owner.opened)
        };
        for fault in self.faults.iter().filter(writes) {
            if fault.touches(ended, latest, self.healing()) {
                // What is about to work again may do so a little before we say it.
                let mended = fault.until.filter(|until| *until <= now + SOON);
                let since = ended.max(mended.unwrap_or(fault.from));
                latest = latest.max(since + self.healing());
            }
        }
        latest
    }

    /// A connection that is not listed, though it has been there and has sent its heartbeats.
    fn not_listed(&self, seen: &PresenceSeen) -> Option<(String, String)> {
        self.story.connections.iter().find_map(|(id, known)| {
            let (socket, welcomed) = (known.socket.clone()?, known.welcomed?);
            let is_there = known.user.eq_ignore_ascii_case(&seen.user)
                && welcomed + SOON < seen.began
                // A gateway that ends it removes the entry first.
                && known.ended().is_none_or(|ended| ended > seen.at + LATE);
            if !is_there
                || seen.sockets.contains(&socket)
                || self.has_expired(*id, welcomed, seen)
                || self.faults.iter().any(|fault| self.may_hide(fault, known, seen))
            {
                return None;
            }
            let text = format!(
                "{} is connected since {} and {} was not listed with its socket at {}",
                known.device,
                moment(welcomed),
                self.history.name(&seen.user),
                moment(seen.at)
            );
            Some((socket, text))
        })
    }

    /// Whether the last heartbeat was so long ago that an entry may be gone when the look ended.
    fn has_expired(&self, id: ConnectionId, welcomed: Duration, seen: &PresenceSeen) -> bool {
        let beats = self.story.sent.iter().filter(|sent| {
            sent.connection == id && sent.event == "heartbeat" && sent.at < seen.began
        });
        let last = beats.map(|sent| sent.at).max().unwrap_or(welcomed);
        seen.at.saturating_sub(last) + LATE > self.times.ttl
    }

    /// Whether a fault may be why a connection is not listed: of Redis, or of its device or its gateway, if it has lived
    /// through that.
    fn may_hide(&self, fault: &Fault<'_>, known: &Connection, seen: &PresenceSeen) -> bool {
        let is_its_own = fault.what == known.device || fault.what == known.gateway;
        (fault.what == "redis" || is_its_own && !fault.was_over(known.opened))
            && fault.touches(seen.began, seen.at, self.healing())
    }

    /// How soon presence is right again after a fault: a gateway that renews its lease registers its sockets anew, and a
    /// heartbeat registers an entry that is missing.
    fn healing(&self) -> Duration {
        self.times.lease.max(self.times.heartbeat) + SOON
    }
}

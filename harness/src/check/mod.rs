//! Judges a history: pure functions, one for each invariant. A correct history never fails, one with a fault always does.

mod acks;
mod clock;
mod connections;
mod delivery;
mod faults;
mod frames;
mod kept;
mod order;
mod pages;
mod pings;
mod presence;
mod processes;
mod replies;
mod rooms;
mod words;

use std::time::Duration;

use crate::{
    history::{History, IdNames, Story},
    scenario::{Pings, TimeNames},
};

/// Something that the contract does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant, as in [`crate::scenario::INVARIANTS`].
    pub invariant: &'static str,
    /// When it could be seen.
    pub at: Duration,
    /// In words, with names.
    pub text: String,
}

impl Finding {
    /// Whether it says that something never came: who could not wait for it must not say so.
    pub fn is_of_absence(&self) -> bool {
        self.invariant == "nothing-lost" || self.text.ends_with(acks::UNANSWERED)
    }
}

/// What is known of gateways that were started for this run.
#[derive(Clone, Copy, Debug)]
pub struct Ours {
    /// How they must say that they ping.
    pub pings: Pings,
    /// Nobody has told them of origins whose pages may read what they say.
    pub origins_are_closed: bool,
}

/// Everything that is wrong with a history, in the order of time; `without` names the invariants that are left unjudged.
/// `ours`: of gateways that were started for this run.
pub fn check(
    history: &History,
    without: &[&str],
    times: TimeNames,
    ours: Option<Ours>,
) -> Vec<Finding> {
    let story = Story::read(history);
    let mut findings = Vec::new();
    delivery::nothing_lost(history, &story, &mut findings);
    delivery::no_duplicate(history, &story, &mut findings);
    delivery::no_leak(history, &story, &mut findings);
    order::one_order(history, &story, &mut findings);
    acks::one_ack(history, &story, &mut findings);
    frames::frames(history, &story, ours.map(|ours| ours.pings), &mut findings);
    pings::pings(history, &story, &mut findings);
    words::as_sent(history, &story, &mut findings);
    replies::replies(history, ours.is_some_and(|ours| ours.origins_are_closed), &mut findings);
    rooms::members(history, &mut findings);
    clock::clock(history, &story, ours.is_some(), &mut findings);
    connections::stays_connected(history, times, &mut findings);
    presence::presence(history, &story, times, &mut findings);
    kept::rows(history, &story, &mut findings);
    kept::entries(history, &story, times, &mut findings);
    processes::keeps_running(history, &mut findings);
    findings.retain(|finding| !without.contains(&finding.invariant));
    findings.sort_by_key(|finding| finding.at);
    let names = IdNames::new(history, &story);
    for finding in &mut findings {
        finding.text = names.in_words(&finding.text);
    }
    findings
}

#[cfg(test)]
mod tests;

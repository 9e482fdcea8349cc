//! Gateways ping as they announce: neither never nor all the time.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{Finding, faults::Fault};
use crate::history::{Connection, ConnectionId, History, Story, What, shown};

/// How late a ping may be on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

/// Only half as many as were announced, or twice as many, and so many more or fewer, are wrong: timers are no clocks, and a slow
/// network holds back what then comes at once.
const SPARE: u128 = 4;

/// What one connection was promised, and what came.
struct Pinged {
    interval: Duration,
    timeout: Duration,
    times: Vec<Duration>,
    /// When the device last answered one.
    answered: Option<Duration>,
}

pub(super) fn pings(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let mut all: BTreeMap<ConnectionId, Pinged> = BTreeMap::new();
    for entry in history.entries() {
        if let What::Sent { connection, packet } = &entry.what
            && packet == "3"
            && let Some(pinged) = all.get_mut(connection)
        {
            pinged.answered = Some(entry.at);
        }
        let What::Received { connection, packet } = &entry.what else { continue };
        if let Some(open) = packet.strip_prefix('0').and_then(announced) {
            all.insert(*connection, open);
        } else if packet == "2"
            && let Some(pinged) = all.get_mut(connection)
        {
            pinged.times.push(entry.at);
        }
    }
    let faults = Fault::all(history);
    for (id, pinged) in &all {
        let Some(known) = story.connections.get(id) else { continue };
        let end = known.closed.unwrap_or(story.end);
        if let Some((at, what)) = wrong(known, pinged, end, &faults) {
            let text = format!("{} was pinged {what}", known.device);
            findings.push(Finding { invariant: "frames", at, text });
        }
    }
}

/// How a gateway says that it pings.
fn announced(open: &str) -> Option<Pinged> {
    let open: Value = serde_json::from_str(open).ok()?;
    let number = |field: &str| open[field].as_u64().map(Duration::from_millis);
    let (interval, timeout) = (number("pingInterval")?, number("pingTimeout")?);
    (!interval.is_zero()).then(|| Pinged { interval, timeout, times: Vec::new(), answered: None })
}

/// When something was wrong with the pings of a connection until its end, and what.
fn wrong(
    known: &Connection,
    pinged: &Pinged,
    end: Duration,
    faults: &[Fault<'_>],
) -> Option<(Duration, String)> {
    let Pinged { interval, timeout, times, answered } = pinged;
    let is_theirs = |fault: &&Fault<'_>| fault.what == known.device || fault.what == known.gateway;
    let faults: Vec<_> = faults.iter().filter(is_theirs).collect();
    let lifetime = end.saturating_sub(known.opened);
    let promised = |time: Duration| time.as_millis() / interval.as_millis().max(1);
    let count = times.len() as u128;
    let is_excused = faults.iter().any(|fault| fault.touches(known.opened, end, SLACK));
    let too_often = count > 2 * promised(lifetime) + SPARE;
    // The next ping comes once the last one was answered: whoever withholds pongs gets no more.
    let unanswered = times.last().filter(|last| answered.is_none_or(|at| at < **last));
    let lasted = unanswered.unwrap_or(&end).saturating_sub(known.opened);
    let too_seldom = 2 * count + SPARE < promised(lasted.saturating_sub(SLACK));
    if too_often || too_seldom && !is_excused {
        let (lived, every) = (shown(lifetime), shown(*interval));
        return Some((end, format!("{count} times in {lived}, not every {every}")));
    }
    // Who withholds a pong is given up after the timeout.
    let limit = interval.saturating_add(*timeout).saturating_add(SLACK);
    let moments = || std::iter::once(known.opened).chain(times.iter().copied());
    let ends = times.iter().copied().chain([end]);
    let is_excused = |from, to| faults.iter().any(|fault| fault.touches(from, to, SLACK));
    let (from, to) = moments()
        .zip(ends)
        .find(|(from, to)| to.saturating_sub(*from) > limit && !is_excused(*from, *to))?;
    let (silent, every) = (shown(to.saturating_sub(from)), shown(*interval));
    Some((to, format!("not once in {silent}, and every {every} was announced")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ConnectionId = ConnectionId(1);

    /// A connection that was just opened with these times, in milliseconds.
    fn opened(interval: u64, timeout: u64) -> History {
        let mut history = History::default();
        let [device, user, gateway] = ["alice.phone", "alice", "gw1"].map(str::to_owned);
        let opened = What::Opened { connection: ID, device, user, gateway, is_polling: false };
        history.push(Duration::ZERO, opened);
        let packet = format!(r#"0{{"pingInterval":{interval},"pingTimeout":{timeout}}}"#);
        history.push(Duration::ZERO, What::Received { connection: ID, packet });
        history
    }

    /// What is said of it, once it is closed at this millisecond.
    fn said_at_the_end(mut history: History, end: u64) -> Vec<String> {
        let closed = What::Closed { connection: ID, by_gateway: false };
        history.push(Duration::from_millis(end), closed);
        let mut findings = Vec::new();
        super::pings(&history, &Story::read(&history), &mut findings);
        findings.into_iter().map(|finding| finding.text).collect()
    }

    fn ping() -> What {
        What::Received { connection: ID, packet: "2".to_owned() }
    }

    /// What is said of a connection of ten seconds that was to be pinged every second, and of which something was broken from
    /// the first to this millisecond.
    fn said(
        pings: impl IntoIterator<Item = u64>,
        fault: Option<(&'static str, u64)>,
    ) -> Vec<String> {
        let mut history = opened(1_000, 1_000);
        let mut later: Vec<(u64, What)> = pings.into_iter().map(|at| (at, ping())).collect();
        if let Some((what, until)) = fault {
            let (what, text) = (what.to_owned(), "is slow".to_owned());
            later.push((1, What::Broken { what: what.clone(), text: text.clone() }));
            later.push((until, What::Mended { what, text }));
        }
        later.sort_by_key(|(at, _)| *at);
        for (at, what) in later {
            history.push(Duration::from_millis(at), what);
        }
        said_at_the_end(history, 10_000)
    }

    #[test]
    fn who_withholds_a_pong_gets_no_more_pings() {
        let mut history = opened(200, 5_000);
        history.push(Duration::from_millis(200), ping());
        assert_eq!(said_at_the_end(history, 5_200), [""; 0]);
    }

    #[test]
    fn pings_come_as_they_were_announced() {
        assert_eq!(said((1..10).map(|n| n * 1_000), None), [""; 0]);
        // A busy machine.
        assert_eq!(said([1_900, 2_100, 4_900, 5_000, 8_500], None), [""; 0]);
        assert_eq!(said([], None), ["alice.phone was pinged 0 times in 10.00 s, not every 1.00 s"]);
        let first_four = || (0..4).map(|n| n * 1_000);
        let silent = "alice.phone was pinged not once in 7.00 s, and every 1.00 s was announced";
        assert_eq!(said(first_four(), None), [silent]);
        assert_eq!(said([], Some(("alice.phone", 9_000))), [""; 0]);
        assert_eq!(said([], Some(("bob.phone", 9_000))).len(), 1);
        // What was broken long before excuses nothing.
        assert_eq!(said(first_four(), Some(("alice.phone", 500))), [silent]);
        assert_eq!(
            said((1..100).map(|n| n * 100), None),
            ["alice.phone was pinged 99 times in 10.00 s, not every 1.00 s"]
        );
    }
}

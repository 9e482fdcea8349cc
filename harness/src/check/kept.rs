//! What the database and Redis hold at the end: every accepted message once, and no presence without an owner.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Finding, delivery,
    faults::{Fault, may_hide_a_welcome},
};
use crate::{
    history::{History, Story, What, moment, shown},
    scenario::TimeNames,
};

/// How long after the end of a connection its entry may still be there; a busy machine included.
const SOON: Duration = Duration::from_secs(2);

/// Every accepted message is one row.
pub(super) fn rows(history: &History, story: &Story, findings: &mut Vec<Finding>) {
    let last = history.entries().iter().rev().find_map(|entry| {
        if let What::Rows { rows } = &entry.what { Some((entry.at, rows)) } else { None }
    });
    let Some((at, rows)) = last else { return };
    let mut times: BTreeMap<&[String; 3], usize> = BTreeMap::new();
    for row in rows {
        *times.entry(row).or_default() += 1;
    }
    for (sender, room, id) in delivery::all_accepted(story) {
        let row = [room.clone(), sender, id.clone()];
        let count = times.get(&row).copied().unwrap_or_default();
        if count != 1 {
            let (what, place) = (history.name(&id), history.name(&room));
            let text =
                format!("{what} of {place} was accepted and the database has {count} rows of it");
            findings.push(Finding { invariant: "nothing-lost", at, text });
        }
    }
}

/// Keys in Redis expire, and each field of them is a socket of its user that is there or has just gone.
pub(super) fn entries(
    history: &History,
    story: &Story,
    times: TimeNames,
    findings: &mut Vec<Finding>,
) {
    // After a fault of theirs an entry may outlive its owner, until its TTL; the checks of presence know how long.
    let faults = Fault::all(history);
    let is_touched = |names: &[&str]| faults.iter().any(|fault| names.contains(&fault.what));
    for entry in history.entries() {
        let What::Kept { user, ttl_ms, fields } = &entry.what else { continue };
        let name = history.name(user);
        let mut report = |text: String| {
            findings.push(Finding { invariant: "presence", at: entry.at, text });
        };
        let ttl = u64::try_from(*ttl_ms).map(Duration::from_millis);
        match ttl {
            Err(_) => report(format!("Redis keeps the entries of {name} without a TTL")),
            Ok(ttl) if ttl > times.ttl => {
                report(format!("Redis keeps the entries of {name} for {}", shown(ttl)));
            }
            Ok(_) => {}
        }
        for socket in fields.keys() {
            let owner = story.connections.values().find(|known| {
                known.socket.as_ref() == Some(socket) && known.user.eq_ignore_ascii_case(user)
            });
            let Some(owner) = owner else {
                if may_hide_a_welcome(&faults) {
                    continue;
                }
                report(format!(
                    "Redis has the field `{socket}` of {name}, a socket that nobody has"
                ));
                continue;
            };
            let ended = owner.ended().filter(|at| *at + SOON < entry.at);
            let is_excused = is_touched(&["redis", &owner.device, &owner.gateway]);
            if let Some(ended) = ended.filter(|_| !is_excused) {
                let (device, ended) = (&owner.device, moment(ended));
                report(format!("Redis has the field of {device}, which was gone at {ended}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::ConnectionId;

    const ID: ConnectionId = ConnectionId(1);
    const ROOM: &str = "1f0c1c1e-0000-4000-8000-000000000001";
    const USER: &str = "1f0c1c1e-0000-4000-8000-000000000002";
    const MESSAGE: &str = "1f0c1c1e-0000-4000-8000-000000000003";

    /// One device that connects, sends one message that is accepted, and may leave; then what is found.
    fn run(leaves: bool, found: What) -> Vec<String> {
        let packet = |packet: String| What::Received { connection: ID, packet };
        let sent = |packet: String| What::Sent { connection: ID, packet };
        let [device, user, gateway] = ["alice.phone", USER, "gw1"].map(str::to_owned);
        let mut history = History::default();
        let mut at = Duration::ZERO;
        let mut push = |what, after: u64| {
            at += Duration::from_millis(after);
            history.push(at, what);
        };
        push(What::Opened { connection: ID, device, user, gateway, is_polling: false }, 1);
        push(packet(r#"40{"sid":"s1"}"#.to_owned()), 1);
        let draft =
            json!(["sendMessage", {"roomId": ROOM, "clientMsgId": MESSAGE, "content": "x"}]);
        push(sent(format!("421{draft}")), 1);
        let ack = json!([{"clientMsgId": MESSAGE, "status": "ACCEPTED"}]);
        push(packet(format!("431{ack}")), 1);
        if leaves {
            push(sent("41".to_owned()), 1);
        }
        push(found, 3_000);
        let story = Story::read(&history);
        let second = Duration::from_secs(1);
        let times = TimeNames { ttl: 60 * second, heartbeat: second, ping: second, lease: second };
        let mut findings = Vec::new();
        rows(&history, &story, &mut findings);
        entries(&history, &story, times, &mut findings);
        findings.into_iter().map(|finding| finding.text).collect()
    }

    fn kept(ttl_ms: i64, socket: &str) -> What {
        let fields = BTreeMap::from([(socket.to_owned(), "{}".to_owned())]);
        What::Kept { user: USER.to_owned(), ttl_ms, fields }
    }

    #[test]
    fn each_accepted_message_is_one_row() {
        let row = || [ROOM, USER, MESSAGE].map(str::to_owned);
        assert_eq!(run(false, What::Rows { rows: vec![row()] }), [] as [&str; 0]);
        for rows in [vec![], vec![row(), row()]] {
            let count = rows.len();
            let said = run(false, What::Rows { rows });
            assert!(said[0].ends_with(&format!("has {count} rows of it")), "{said:?}");
        }
    }

    #[test]
    fn entries_expire_and_have_an_owner() {
        assert_eq!(run(false, kept(60_000, "s1")), [] as [&str; 0]);
        for (leaves, found, says) in [
            (false, kept(-1, "s1"), "without a TTL"),
            (false, kept(61_000, "s1"), "for 61.00 s"),
            (false, kept(60_000, "s2"), "a socket that nobody has"),
            (true, kept(60_000, "s1"), "which was gone at"),
        ] {
            let said = run(leaves, found);
            assert!(said.len() == 1 && said[0].contains(says), "{says}: {said:?}");
        }
    }
}

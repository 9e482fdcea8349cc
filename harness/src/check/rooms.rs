//! Lists of rooms and of members tell what the answers to `POST /rooms`, `join` and `leave` have told before.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::Finding;
use crate::history::{History, What};

/// A user and a room, in lower case.
type Pair = (String, String);

/// Something that was answered about a user in a room.
#[derive(Clone, Copy)]
struct Told {
    began: Duration,
    at: Duration,
    /// `None`: nobody knows what came of it.
    is_member: Option<bool>,
}

pub(super) fn members(history: &History, findings: &mut Vec<Finding>) {
    let mut told: BTreeMap<Pair, Vec<Told>> = BTreeMap::new();
    for entry in history.entries() {
        let What::Called { user, call, began, status, reply, is_admin: false, .. } = &entry.what
        else {
            continue;
        };
        if let Some((room, is_member)) = change(call, *status, reply) {
            let pair = (user.to_lowercase(), room);
            let told = told.entry(pair).or_default();
            told.push(Told { began: *began, at: entry.at, is_member });
        }
    }
    for entry in history.entries() {
        let What::Called { user, call, began, status: 200, reply, is_admin: false, .. } =
            &entry.what
        else {
            continue;
        };
        let Some(list) = listed(user, call, reply) else { continue };
        for ((member, room), told) in &told {
            let Some(is_there) = list.has(member, room) else { continue };
            if known(told, *began, entry.at).is_some_and(|is_member| is_member != is_there) {
                let (who, place) = (history.name(member), history.name(room));
                let (is, has) =
                    if is_there { ("has left", "in it") } else { ("is a member of", "missing") };
                let text = format!(
                    "`{call}` of {} was answered with a list in which {who}, who {is} {place}, is {has}",
                    history.name(user)
                );
                findings.push(Finding { invariant: "replies", at: entry.at, text });
            }
        }
    }
}

/// The room that a request changes for its user, and whether they are a member after it.
fn change(call: &str, status: u16, reply: &Value) -> Option<(String, Option<bool>)> {
    let path = call.strip_prefix("POST /rooms")?;
    if path.is_empty() {
        let room = reply["id"].as_str().filter(|_| status == 201)?;
        return Some((room.to_lowercase(), Some(true)));
    }
    let (room, verb) = path.strip_prefix('/')?.split_once('/')?;
    let is_member = match (verb, status) {
        ("join", 201 | 409) => Some(true),
        ("leave", 204) => Some(false),
        ("join" | "leave", 0 | 500..) => None,
        _ => return None,
    };
    Some((room.to_lowercase(), is_member))
}

/// A list of the rooms of somebody, or of who is in a room.
enum List<'l> {
    Rooms { user: &'l str, rooms: BTreeSet<String> },
    Members { room: &'l str, users: BTreeSet<String> },
}

impl List<'_> {
    /// Whether this member of this room is in it; `None`: it does not speak of them.
    fn has(&self, member: &str, room: &str) -> Option<bool> {
        match self {
            Self::Rooms { user, rooms } => {
                user.eq_ignore_ascii_case(member).then(|| rooms.contains(room))
            }
            Self::Members { room: of, users } => {
                of.eq_ignore_ascii_case(room).then(|| users.contains(member))
            }
        }
    }
}

fn listed<'l>(user: &'l str, call: &'l str, reply: &Value) -> Option<List<'l>> {
    let ids = |field: &str| {
        let entries = reply.as_array().into_iter().flatten();
        entries.filter_map(|entry| Some(entry[field].as_str()?.to_lowercase())).collect()
    };
    if call == "GET /rooms" {
        return Some(List::Rooms { user, rooms: ids("id") });
    }
    let room = call.strip_prefix("GET /rooms/")?.strip_suffix("/members")?;
    Some(List::Members { room, users: ids("userId") })
}

/// What was told last of who is a member, before a look that began then; `None` if something was under way since, or may
/// still be.
fn known(told: &[Told], began: Duration, ended: Duration) -> Option<bool> {
    let newest = told.iter().filter(|it| it.at < began).max_by_key(|it| it.at)?;
    let is_over = |it: &Told| it.at <= newest.began && it.is_member.is_some();
    let is_alone =
        told.iter().all(|it| std::ptr::eq(it, newest) || is_over(it) || it.began >= ended);
    newest.is_member.filter(|_| is_alone)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROOM: &str = "aaaaaaaa-2222-4333-8444-555555555555";
    const BOB: &str = "bbbbbbbb-2222-4333-8444-555555555555";

    /// Requests of bob, each with its begin, its answer 10 ms later, its status and its reply.
    fn findings(calls: &[(u64, &str, u16, Value)]) -> Vec<String> {
        let mut history = History::default();
        history.call(ROOM, "general");
        history.call(BOB, "bob");
        for (began, call, status, reply) in calls {
            let began = Duration::from_millis(*began);
            let what = What::Called {
                user: BOB.to_owned(),
                gateway: None,
                is_admin: false,
                call: (*call).to_owned(),
                began,
                status: *status,
                reply: reply.clone(),
                headers: BTreeMap::new(),
            };
            history.push(began + Duration::from_millis(10), what);
        }
        let mut findings = Vec::new();
        members(&history, &mut findings);
        findings.into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn lists_tell_who_has_joined_and_not_who_has_left() {
        let [join, leave, list] = ["join", "leave", "members"].map(|it| {
            format!("{} /rooms/{ROOM}/{it}", if it == "members" { "GET" } else { "POST" })
        });
        let (there, gone) = (json!([{"userId": BOB}]), json!([]));
        let rooms = json!([{"id": ROOM}]);
        let ok = [""; 0];
        assert_eq!(
            findings(&[
                (0, &join, 201, json!({})),
                (20, &list, 200, there.clone()),
                (40, "GET /rooms", 200, rooms.clone()),
                (60, &leave, 204, Value::Null),
                (80, &list, 200, gone.clone()),
                (100, "GET /rooms", 200, gone.clone()),
            ]),
            ok
        );
        let missing = "`GET /rooms` of `bob` was answered with a list in which `bob`, who is a member of `general`, is missing";
        let made = (0, "POST /rooms", 201, json!({"id": ROOM}));
        assert_eq!(findings(&[made, (20, "GET /rooms", 200, gone.clone())]), [missing]);
        let left = (0, &*leave, 204, Value::Null);
        assert_eq!(findings(&[left.clone(), (20, &list, 200, there.clone())]).len(), 1);
        // Side by side, or of an unknown outcome.
        assert_eq!(findings(&[left.clone(), (5, &list, 200, there.clone())]), ok);
        let unknown = (20, &*join, 503, json!({}));
        assert_eq!(findings(&[left, unknown, (40, &list, 200, there)]), ok);
    }
}

//! Requests over HTTP for the page: who made them, how long each took, what came of it, with names instead of ids.

use serde::Serialize;

use super::{
    super::packet::status_in_words,
    frames::shortened,
    timeline::{micros, names_of, place},
};
use crate::history::{History, IdNames, Story, What};

/// Most requests of a run that are shown: the first ones.
const CALLS_MAX: usize = 2_000;

/// All of a run.
#[derive(Debug, Serialize)]
pub(super) struct Calls {
    callers: Vec<String>,
    calls: Vec<Call>,
}

/// `caller` and `gateway` are places in the lists of names.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Call {
    caller: usize,
    /// `None`: no gateway ran.
    gateway: Option<usize>,
    from: u64,
    to: u64,
    /// `GET /rooms`.
    asked: String,
    status: String,
    is_good: bool,
    reply: String,
}

/// The gateways that were asked.
pub(super) fn gateways(history: &History) -> impl Iterator<Item = &str> {
    history.entries().iter().filter_map(|entry| {
        let What::Called { gateway, .. } = &entry.what else { return None };
        gateway.as_deref()
    })
}

impl Calls {
    pub(super) fn of(
        history: &History,
        story: &Story,
        gateways: &[String],
        reply_chars: usize,
    ) -> Self {
        let names = IdNames::new(history, story);
        let mut made = Vec::new();
        for entry in history.entries() {
            let What::Called { user, gateway, call, began, status, reply, .. } = &entry.what else {
                continue;
            };
            let caller = history.name(user).trim_matches('`').to_owned();
            let told = Call {
                caller: 0,
                gateway: gateway.as_ref().map(|name| place(gateways, name)),
                from: micros(*began),
                to: micros(entry.at),
                asked: names.in_text(call),
                status: status_in_words(*status),
                is_good: (200..400).contains(status),
                reply: shortened(&names.in_text(&reply.to_string()), reply_chars),
            };
            made.push((caller, told));
            if made.len() == CALLS_MAX {
                break;
            }
        }
        let callers = names_of(made.iter().map(|(caller, _)| caller.as_str()));
        let placed =
            made.into_iter().map(|(name, call)| Call { caller: place(&callers, &name), ..call });
        Self { calls: placed.collect(), callers }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::history::ConnectionId;

    const ROOM: &str = "11111111-2222-4333-8444-555555555555";
    const SENT: &str = "22222222-2222-4333-8444-555555555555";
    const STORED: &str = "33333333-2222-7333-8444-555555555555";

    #[test]
    fn requests_speak_of_names_and_say_what_came_of_them() {
        let mut history = History::default();
        for (id, name) in [("u", "alice"), (ROOM, "general"), (SENT, "hi")] {
            history.call(id, name);
        }
        let heard = json!(["newMessage", {"clientMsgId": SENT, "messageId": STORED}]);
        let packet = format!("42{heard}");
        history.push(Duration::ZERO, What::Received { connection: ConnectionId(1), packet });
        for (status, reply) in [(200, json!([{"roomId": ROOM}])), (0, json!(null))] {
            let call = format!("GET /rooms/{ROOM}/messages?after={STORED}");
            let (user, gateway) = ("u".to_owned(), Some("gw2".to_owned()));
            let began = Duration::from_millis(1);
            let called = What::Called {
                user,
                gateway,
                is_admin: false,
                call,
                began,
                status,
                reply,
                headers: std::collections::BTreeMap::new(),
            };
            history.push(Duration::from_millis(3), called);
        }
        let gateways = ["gw1".to_owned(), "gw2".to_owned()];
        let made = Calls::of(&history, &Story::read(&history), &gateways, 99);
        assert_eq!(made.callers, ["alice"]);
        let first = Call {
            caller: 0,
            gateway: Some(1),
            from: 1_000,
            to: 3_000,
            asked: "GET /rooms/general/messages?after=hi.id".to_owned(),
            status: "200".to_owned(),
            is_good: true,
            reply: "[{\"roomId\":\"general\"}]".to_owned(),
        };
        assert_eq!(made.calls[0], first);
        assert_eq!((made.calls[1].status.as_str(), made.calls[1].is_good), ("no answer", false));
    }
}

//! Times and names that gateways of ours have from us.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    room,
    told::{ALICE, Told, message},
    uuid,
};
use crate::{history::What, scenario::TimeNames};

/// Any but those of gateways of ours.
const OTHERS: TimeNames = TimeNames { ttl: Duration::from_mins(2), ..super::TIMES };

fn is_told(told: &mut Told, at: u64, user: u128, call: &str, reply: Value) {
    let what = What::Called {
        user: uuid(2, user),
        gateway: None,
        is_admin: false,
        call: call.to_owned(),
        began: Duration::from_millis(at),
        status: 200,
        reply,
        headers: BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]),
    };
    told.push(at, what);
}

#[test]
fn an_entry_names_the_gateway_of_its_socket() {
    let named = |server: &str, times| {
        let mut told = Told::new();
        let socket = json!({
            "socketId": "socket 1", "serverId": server, "connectedAt": "2026-01-02T03:04:05.678Z",
        });
        let presence = json!({"online": true, "sockets": [socket]});
        is_told(&mut told, 10, ALICE, &format!("GET /users/{}/presence", uuid(2, ALICE)), presence);
        told.findings_within(times)
    };
    let id = uuid(9, 9);
    assert_eq!(named(&format!("gw1-{id}"), super::TIMES), [""; 0]);
    for (wrong, shown) in [
        (format!("gw2-{id}"), "gw2"),
        ("gw1".to_owned(), "gw1"),
        ("localhost".to_owned(), "localhost"),
    ] {
        let expect =
            format!("presence: the entry of socket 1, which is connected to gw1, names `{shown}`");
        assert_eq!(named(&wrong, super::TIMES), [expect]);
        assert_eq!(named(&wrong, OTHERS), [""; 0], "somebody else's name");
    }
}

/// The findings about messages that were made at these milliseconds of a second each.
fn made_at(milliseconds: &[&str]) -> Vec<String> {
    let mut told = Told::new();
    told.joins(10, 1);
    let mut all = Vec::new();
    for (n, end) in (0..).zip(milliseconds) {
        let mut message = message(n, n);
        message["createdAt"] = json!(format!("2026-01-02T03:04:05.{end}Z"));
        let at = 20 + 60 * u64::try_from(n).unwrap();
        told.sends(at, 1, n, None);
        told.hears(at + 5, 1, &format!("42{}", json!(["newMessage", message])));
        all.push(message);
    }
    told.push(9_000, What::Stored { room: room(), messages: all });
    told.findings()
}

#[test]
fn some_time_has_milliseconds() {
    let expect = "frames: no message has milliseconds in its `createdAt`, the last one is from 2026-01-02T03:04:05.000Z";
    assert_eq!(made_at(&["000"; 4]), [expect]);
    assert_eq!(made_at(&["000"; 3]), [""; 0]);
    assert_eq!(made_at(&["000", "000", "001", "000", "000"]), [""; 0]);
}

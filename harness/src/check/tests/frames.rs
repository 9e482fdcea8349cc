//! What opens a session of Engine.IO.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::check;
use super::{OURS, TIMES, uuid};
use crate::history::{ConnectionId, History, What};

/// The findings about a session that is opened so, by a gateway that was started by us or not.
fn opened(open: &Value, is_polling: bool, are_ours: bool) -> Vec<String> {
    let mut history = History::default();
    let (device, gateway) = ("alice.phone".to_owned(), "gw1".to_owned());
    let (connection, user, at) = (ConnectionId(1), uuid(2, 1), Duration::from_millis(1));
    history.push(at, What::Opened { connection, device, user, gateway, is_polling });
    history.push(at, What::Received { connection, packet: format!("0{open}") });
    let findings = check(&history, &[], TIMES, are_ours.then_some(OURS));
    findings.iter().map(|it| format!("{}: {}", it.invariant, it.text)).collect()
}

#[test]
fn a_session_is_opened_with_its_fields_and_times_and_upgrades() {
    let with = |field: &str, value: Value| {
        let mut open = json!({
            "sid": "x", "upgrades": [], "pingInterval": 40_000, "pingTimeout": 20_000,
            "maxPayload": 1_000,
        });
        open[field] = value;
        open
    };
    assert_eq!(opened(&with("sid", json!("y")), false, true), Vec::<String>::new());
    assert_eq!(opened(&with("upgrades", json!(["websocket"])), true, true), Vec::<String>::new());
    let wrong = [
        ("sid", json!("")),
        ("sid", json!(7)),
        ("upgrades", json!(["websocket"])),
        ("pingInterval", json!("40000")),
        ("pingInterval", json!(25_000)),
        ("pingTimeout", json!(10_000)),
        ("pingTimeout", json!(0)),
        ("maxPayload", Value::Null),
        ("extra", json!(1)),
    ];
    for (field, value) in wrong {
        let findings = opened(&with(field, value.clone()), false, true);
        assert!(findings.len() == 1 && findings[0].starts_with("frames: "), "{field} {value}");
    }
    assert_eq!(opened(&with("sid", json!("y")), true, true).len(), 1);
    // Others may ping as they like.
    assert_eq!(opened(&with("pingInterval", json!(25_000)), false, false), Vec::<String>::new());
}

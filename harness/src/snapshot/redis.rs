//! What Redis says of the presence of a scenario's people: keys, fields, values, and how long they may live.

use std::time::Duration;

use serde_json::Value;

use super::names::Names;
use crate::{
    contract::{LEASE_KEY, PRESENCE_KEY},
    history::{History, Story},
    scenario::Scenario,
};

/// A line for each key and each field. `dump`: every key of presence there is, also of others who use the same Redis.
pub(super) fn state(scenario: &Scenario, history: &History, dump: &Value) -> String {
    let story = Story::read(history);
    let mut names = Names::new(scenario, history, &story);
    let times = scenario.stack.times();
    let mut keys: Vec<(String, &Value)> = Vec::new();
    let Some(all) = dump.as_object() else { return format!("{dump}\n") };
    if let Some(error) = all.get("error") {
        return format!("{error}\n");
    }
    for (key, found) in all {
        let Some(name) = key.strip_prefix(PRESENCE_KEY).and_then(|id| names.of(id)) else {
            continue;
        };
        keys.push((format!("{PRESENCE_KEY}{name}"), found));
    }
    keys.sort_by(|left, right| left.0.cmp(&right.0));
    for (_, found) in &keys {
        name_gateways(&story, &mut names, found);
    }
    let mut lines: Vec<String> =
        keys.iter().flat_map(|(key, found)| user(&mut names, key, found, times.ttl)).collect();
    let mut leases: Vec<String> = Vec::new();
    for (key, found) in all {
        let Some(name) = key.strip_prefix(LEASE_KEY).and_then(|id| names.of(id)) else { continue };
        let head = format!("{LEASE_KEY}{name}  {}", class(found, times.lease));
        leases.push(format!("{head}\n  {}", names.json(&found["value"])));
    }
    leases.sort();
    lines.extend(leases);
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    lines.join("\n") + "\n"
}

/// A gateway is known by the devices that are connected to it.
fn name_gateways(story: &Story, names: &mut Names, found: &Value) {
    for (socket, value) in found["value"].as_object().into_iter().flatten() {
        let entry: Value =
            value.as_str().and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
        let connection =
            story.connections.values().find(|it| it.socket.as_deref() == Some(socket.as_str()));
        if let (Some(connection), Some(id)) = (connection, entry["serverId"].as_str()) {
            names.call(id, &connection.gateway);
        }
    }
}

fn user(names: &mut Names, key: &str, found: &Value, ttl: Duration) -> Vec<String> {
    let mut fields = Vec::new();
    for (field, value) in found["value"].as_object().into_iter().flatten() {
        let entry = value.as_str().and_then(|text| serde_json::from_str(text).ok());
        let entry = entry.unwrap_or_else(|| value.clone());
        let field = names.json(&Value::from(field.as_str()));
        fields.push(format!("  {field}  {}", names.json(&entry)));
    }
    fields.sort();
    let mut lines = vec![format!("{key}  {}", class(found, ttl))];
    lines.append(&mut fields);
    lines
}

/// How long it may live, as it is promised.
fn class(found: &Value, limit: Duration) -> String {
    let seconds = limit.as_secs_f64();
    match found["ttl_ms"].as_u64() {
        None => "lives for ever".to_owned(),
        Some(ms) if Duration::from_millis(ms) <= limit => format!("ttl <= {seconds} s"),
        Some(_) => format!("ttl > {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::{ConnectionId, What};

    #[test]
    fn only_the_people_of_the_scenario_are_in_it() {
        let mut history = History::default();
        history.call("u1", "alice");
        let connection = ConnectionId(1);
        let [device, user, gateway] = ["alice.phone", "u1", "gw2"].map(str::to_owned);
        history.push(
            Duration::ZERO,
            What::Opened { connection, device, user, gateway, is_polling: false },
        );
        let packet = r#"40{"sid":"s1"}"#.to_owned();
        history.push(Duration::ZERO, What::Received { connection, packet });
        let source =
            "scenario: x\nactors: { alice: { phone: gw2 } }\nsteps: []\nstack: { gateways: 2 }";
        let scenario = crate::scenario::parse("x.yaml", source).unwrap();
        let entry = r#"{"serverId":"g7","connectedAt":"2026-01-31T12:00:00.000Z"}"#;
        let dump = json!({
            "presence:user:u1": {"ttl_ms": 59_000, "value": {"s1": entry}},
            "presence:user:u2": {"ttl_ms": 59_000, "value": {"s2": entry}},
            "presence:server:g7": {"ttl_ms": 20_000, "value": "2026-01-31T11:00:00.000Z"},
            "presence:server:g8": {"ttl_ms": 9_000, "value": "2026-01-31T11:00:00.000Z"},
        });
        let expect = "\
presence:user:alice  ttl <= 60 s
  alice.phone.socket  { connectedAt: <time>, serverId: gw2 }
presence:server:gw2  ttl > 15 s
  <time>
";
        assert_eq!(state(&scenario, &history, &dump), expect);
        assert_eq!(state(&scenario, &history, &json!({})), "nothing\n");
    }
}

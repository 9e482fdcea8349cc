//! Every frame as the contract says: which packets, which fields, which formats.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Finding, faults::Fault};
use crate::contract::{CONTENT_UNITS_MAX, is_id, is_message_id, is_message_time};
use crate::{
    history::{History, Story, What, id_and_json},
    scenario::Pings,
};

const FIELDS: [&str; 7] =
    ["clientMsgId", "content", "createdAt", "messageId", "roomId", "senderId", "type"];

/// The fields of Engine.IO's open packet.
const OPEN_FIELDS: [&str; 5] = ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"];

/// Characters of a packet that a finding shows.
const SHOWN_CHARS: usize = 80;

/// `pings`: what the gateways must announce, where that is known.
pub(super) fn frames(
    history: &History,
    story: &Story,
    pings: Option<Pings>,
    findings: &mut Vec<Finding>,
) {
    let mut report = |at, text: String| {
        findings.push(Finding { invariant: "frames", at, text });
    };
    for (at, connection, reason) in &story.malformed {
        report(*at, format!("{}: {reason}", story.device(*connection)));
    }
    let faults = Fault::all(history);
    let mut opened = BTreeSet::new();
    // How often each asked for the namespace, and was let in.
    let (mut asked, mut welcomed) = (BTreeMap::new(), BTreeMap::new());
    for entry in history.entries() {
        if let What::Sent { connection, packet } = &entry.what
            && packet.starts_with("40")
        {
            *asked.entry(*connection).or_insert(0_usize) += 1;
        }
        if let What::StillPolls { connection } = &entry.what {
            let device = story.device(*connection);
            // What was slow then may have been given up.
            let was_broken = story.connections.get(connection).is_some_and(|known| {
                let theirs = |fault: &&Fault<'_>| {
                    [&known.device, &known.gateway].iter().any(|it| *it == fault.what)
                };
                faults
                    .iter()
                    .filter(theirs)
                    .any(|fault| fault.touches(known.opened, entry.at, Duration::ZERO))
            });
            if !was_broken {
                report(entry.at, format!("{device} still polls: its upgrade never came about"));
            }
        }
        let What::Received { connection, packet } = &entry.what else { continue };
        let Some(known) = story.connections.get(connection) else { continue };
        if packet.starts_with("40") {
            let count = welcomed.entry(*connection).or_insert(0_usize);
            *count += 1;
            if *count > asked.get(connection).copied().unwrap_or_default().max(1) {
                report(entry.at, format!("{}: the namespace is connected twice", known.device));
            }
        }
        let result = match packet.strip_prefix('0') {
            Some(_) if !opened.insert(*connection) => Err("a session is opened twice".to_owned()),
            Some(json) => open(json, known.is_polling, pings),
            None => arguments(packet),
        };
        if let Err(reason) = result {
            report(entry.at, format!("{}: {reason}", known.device));
        }
    }
    for delivery in &story.deliveries {
        if let Err(reason) = message(&delivery.message) {
            let device = story.device(delivery.connection);
            report(delivery.at, format!("{device} heard a message that {reason}"));
        }
    }
    for message in story.stored.values().flatten() {
        if let Err(reason) = self::message(message) {
            report(story.end, format!("the history tells a message that {reason}"));
        }
    }
}

/// Whether this opens a session of Engine.IO; what is wrong otherwise.
fn open(json: &str, is_polling: bool, pings: Option<Pings>) -> Result<(), String> {
    let open: Value = serde_json::from_str(json).unwrap_or_default();
    let wrong = |why: &str| Err(format!("a session is opened by `{json}`, {why}"));
    let mut names: Vec<_> =
        open.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names != OPEN_FIELDS {
        return wrong(&format!("which has not the fields {}", OPEN_FIELDS.join(", ")));
    }
    if open["sid"].as_str().is_none_or(str::is_empty) {
        return wrong("whose `sid` is none");
    }
    let number = |field: &str| open[field].as_u64().filter(|number| *number > 0);
    let (Some(interval), Some(timeout), Some(_)) =
        (number("pingInterval"), number("pingTimeout"), number("maxPayload"))
    else {
        return wrong("in which a number is none");
    };
    let milliseconds = Duration::from_millis;
    let announced = Pings { interval: milliseconds(interval), timeout: milliseconds(timeout) };
    if let Some(Pings { interval, timeout }) = pings.filter(|pings| *pings != announced) {
        let (interval, timeout) = (interval.as_millis(), timeout.as_millis());
        return wrong(&format!("and the gateway was started with {interval} and {timeout} ms"));
    }
    let upgrades = if is_polling { json!(["websocket"]) } else { json!([]) };
    if open["upgrades"] != upgrades {
        return wrong(&format!("whose `upgrades` should be {upgrades}"));
    }
    Ok(())
}

/// Whether an event has one argument and asks for no ack, and an ack has one argument; what is wrong otherwise. What
/// cannot be read at all is told elsewhere.
fn arguments(packet: &str) -> Result<(), String> {
    let shown: String = packet.chars().take(SHOWN_CHARS).collect();
    if let Some((id, json)) = packet.strip_prefix("42").and_then(id_and_json) {
        if id.is_some() {
            return Err(format!("the event `{shown}` asks for an ack"));
        }
        // Its name comes first.
        if json.as_array().is_none_or(|all| all.len() != 2) {
            return Err(format!("the event `{shown}` has not one argument"));
        }
    } else if let Some((_, json)) = packet.strip_prefix("43").and_then(id_and_json)
        && json.as_array().is_none_or(|all| all.len() != 1)
    {
        return Err(format!("the ack `{shown}` has not one argument"));
    }
    Ok(())
}

/// Whether this is a message of the contract; what is wrong otherwise.
pub(super) fn message(message: &Value) -> Result<(), String> {
    let fields = message.as_object().ok_or("is no object")?;
    let mut names: Vec<_> = fields.keys().map(String::as_str).collect();
    names.sort_unstable();
    if names != FIELDS {
        return Err(format!("has the fields {}, not the seven of the contract", names.join(", ")));
    }
    let text = |field: &str| {
        fields[field].as_str().ok_or_else(|| format!("has a `{field}` that is no string"))
    };
    for field in FIELDS {
        text(field)?;
    }
    let id = text("messageId")?;
    if !is_message_id(id) {
        // A report shows a name in its place, which says nothing about what is wrong with it.
        let kind = Uuid::try_parse(id).ok().filter(|_| is_id(id)).map(|id| id.get_version_num());
        let kind = kind.map_or("no UUID".to_owned(), |number| format!("version {number}"));
        return Err(format!("has the `messageId` {id:?} ({kind}), which is no UUIDv7"));
    }
    for field in ["roomId", "senderId"] {
        let id = text(field)?;
        if !is_id(id) || id.to_lowercase() != id {
            return Err(format!("has the `{field}` {id:?}, which is no UUID in lower case"));
        }
    }
    if !is_id(text("clientMsgId")?) {
        return Err(format!("has the `clientMsgId` {}, which is no UUID", fields["clientMsgId"]));
    }
    if !["TEXT", "IMAGE", "SYSTEM"].contains(&text("type")?) {
        return Err(format!("has the `type` {}", fields["type"]));
    }
    let content = text("content")?;
    let units = content.encode_utf16().count();
    if !(1..=CONTENT_UNITS_MAX).contains(&units) || content.contains('\0') {
        return Err(format!("has a `content` of {units} UTF-16 code units or with a NUL"));
    }
    if !is_message_time(text("createdAt")?) {
        return Err(format!(
            "has the `createdAt` {}, not RFC 3339 with milliseconds and `Z`",
            fields["createdAt"]
        ));
    }
    Ok(())
}

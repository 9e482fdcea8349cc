//! Whether what other services read, in Kafka and in Redis, is as the contract says: fields, formats, partitions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::partitioner::murmur2;
use crate::contract::{SKEW_MS, TOPICS as NAMES, is_id, is_message_id, milliseconds_of};

/// The fields of the values of the topics, in the order of the alphabet.
const TOPICS: [(&str, &[&str]); 3] = [
    (
        NAMES[0],
        &["clientMsgId", "content", "eventId", "messageType", "producedAt", "roomId", "senderId"],
    ),
    (
        NAMES[1],
        &["clientMsgId", "content", "createdAt", "messageId", "messageType", "roomId", "senderId"],
    ),
    (NAMES[2], &["at", "change", "roomId", "userId"]),
];

/// A record as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'r> {
    /// The contract's name of the topic.
    pub(super) topic: &'r str,
    pub(super) key: &'r str,
    pub(super) value: &'r Value,
    pub(super) partition: i32,
    /// How many the topic has.
    pub(super) partitions: usize,
    /// When the run began, in milliseconds since 1970.
    pub(super) began: Option<i64>,
}

/// What is wrong with a record.
pub(super) fn record(record: Record<'_>) -> Result<(), String> {
    let Record { topic, key, value, partition, partitions, began } = record;
    let Some((_, names)) = TOPICS.iter().find(|(name, _)| *name == topic) else { return Ok(()) };
    fields(value, names).map_err(|reason| format!("a record of `{topic}` has {reason}"))?;
    for (field, value) in value.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        let is_right = match field.as_str() {
            "messageId" => is_message_id(text),
            "roomId" | "senderId" | "userId" | "eventId" => {
                is_id(text) && text == text.to_lowercase()
            }
            "clientMsgId" => is_id(text),
            "messageType" => ["TEXT", "IMAGE", "SYSTEM"].contains(&text),
            "change" => ["joined", "left"].contains(&text),
            "producedAt" | "createdAt" | "at" => milliseconds_of(text)
                .is_some_and(|told| began.is_none_or(|began| told >= began - SKEW_MS)),
            _ => value.is_string(),
        };
        if !is_right {
            return Err(format!("a record of `{topic}` has the `{field}` {value}"));
        }
    }
    if value["roomId"] != key {
        return Err(format!(
            "a record of `{topic}` has the key `{key}` and the room {}",
            value["roomId"]
        ));
    }
    let wanted = usize::try_from(murmur2(key.as_bytes()) & 0x7fff_ffff).unwrap_or_default()
        % partitions.max(1);
    if usize::try_from(partition).ok() != Some(wanted) {
        return Err(format!("a record of `{topic}` is in partition {partition}, not in {wanted}"));
    }
    Ok(())
}

/// Whether a record says what a device has sent; `drafts`: every `sendMessage`, with the sender's id as `senderId`.
pub(super) fn as_sent(topic: &str, value: &Value, drafts: &[Value]) -> Result<(), String> {
    let is_same = |one: &Value, other: &Value| match (one.as_str(), other.as_str()) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => false,
    };
    let mut theirs = drafts
        .iter()
        .filter(|draft| {
            is_same(&draft["clientMsgId"], &value["clientMsgId"])
                && is_same(&draft["roomId"], &value["roomId"])
        })
        .peekable();
    // Another program may have written it.
    if theirs.peek().is_none() {
        return Ok(());
    }
    let kind = |draft: &Value| draft["type"].as_str().unwrap_or("TEXT") == value["messageType"];
    let is_right = theirs.any(|draft| {
        draft["content"] == value["content"]
            && is_same(&draft["senderId"], &value["senderId"])
            && kind(draft)
    });
    is_right
        .then_some(())
        .ok_or_else(|| format!("a record of `{topic}` says what nobody has sent: {value}"))
}

/// Whether the records of memberships tell how the members came to be: everybody joins before they leave, and who joined
/// last is a member. `members`: those of the rooms of which it is known.
pub(super) fn changes(
    records: &[Value],
    members: &BTreeMap<String, BTreeSet<String>>,
) -> Result<(), String> {
    // Two gateways may publish in another order than things happened in, and what nobody knows to be there is published again.
    let mut sorted: Vec<&Value> = records.iter().collect();
    sorted.sort_by_key(|record| record["at"].as_str().and_then(milliseconds_of));
    let mut known: Vec<&Value> = Vec::new();
    let mut inside: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for record in sorted {
        if known.contains(&record) {
            continue;
        }
        known.push(record);
        let text = |field: &str| record[field].as_str().unwrap_or_default();
        let room = inside.entry(text("roomId")).or_default();
        let (user, change) = (text("userId"), text("change"));
        let is_new = if change == "joined" { room.insert(user) } else { room.remove(user) };
        if !is_new {
            let why = if change == "joined" { "in it already" } else { "not in it" };
            return Err(format!("a record says that `{user}` {change} a room, who was {why}"));
        }
    }
    for (room, told) in &inside {
        let Some(members) = members.get(*room) else { continue };
        let told: BTreeSet<String> = told.iter().map(|user| (*user).to_owned()).collect();
        if let Some(user) = members.symmetric_difference(&told).next() {
            let what = if told.contains(user) { "and is no member" } else { "and is a member" };
            let is_told = if told.contains(user) { "in" } else { "not in" };
            return Err(format!("`{user}` is {is_told} a room by the records, {what} by the API"));
        }
    }
    Ok(())
}

/// What is wrong with a dead letter: it has the original's key and bytes, and headers that say why and from where.
/// `written`: topic, key and value of what the scenario has published.
pub(super) fn letter(
    key: &str,
    payload: &[u8],
    headers: &[(String, String)],
    written: &[[String; 3]],
) -> Result<(), String> {
    let original = written.iter().find(|[_, its, value]| its == key && value.as_bytes() == payload);
    let Some([topic, ..]) = original else {
        let seen = String::from_utf8_lossy(payload);
        return Err(format!("a dead letter is none of the records that were published: `{seen}`"));
    };
    if !headers.iter().any(|(_, value)| value.contains(topic)) {
        return Err(format!("no header of a dead letter says that it is from `{topic}`"));
    }
    // Words that are neither the topic nor its partition or offset.
    let is_reason = |value: &String| !value.contains(topic) && value.contains(char::is_alphabetic);
    if !headers.iter().any(|(_, value)| is_reason(value)) {
        return Err("no header of a dead letter says why it is one".to_owned());
    }
    Ok(())
}

/// Whether a persisted record says what devices have heard; `heard`: every `newMessage`.
pub(super) fn as_heard(topic: &str, value: &Value, heard: &[Value]) -> Result<(), String> {
    if topic != NAMES[1] {
        return Ok(());
    }
    let same = |message: &&Value| {
        ["clientMsgId", "roomId", "senderId"].iter().all(|field| message[*field] == value[*field])
    };
    let Some(message) = heard.iter().find(same) else { return Ok(()) };
    for field in ["messageId", "createdAt", "content"] {
        if message[field] != value[field] {
            return Err(format!(
                "a record of `{topic}` has the `{field}` {}, and devices heard {}",
                value[field], message[field]
            ));
        }
    }
    Ok(())
}

/// What is wrong with the fields of a presence hash. `sockets`: those of its user, as their devices know them.
pub(super) fn entries(hash: &[(String, String)], sockets: &BTreeSet<String>) -> Result<(), String> {
    for (socket, value) in hash {
        if !sockets.contains(socket) {
            return Err(format!("the field `{socket}`, which is no socket of this user"));
        }
        let value: Value = serde_json::from_str(value).unwrap_or_default();
        fields(&value, &["connectedAt", "serverId"])?;
        if value["serverId"].as_str().is_none_or(str::is_empty) {
            return Err(format!("the `serverId` {}", value["serverId"]));
        }
        if value["connectedAt"].as_str().is_none_or(|it| milliseconds_of(it).is_none()) {
            return Err(format!("the `connectedAt` {}", value["connectedAt"]));
        }
    }
    Ok(())
}

/// Whether a lease counts for an entry: its value is when its gateway began, which was before the entry was made.
pub(super) fn covers(lease: &str, connected: &str) -> Result<(), String> {
    let Some(began) = moment_of(lease) else {
        return Err(format!("has the value `{lease}`, which is no time"));
    };
    match milliseconds_of(connected) {
        Some(connected) if began > connected => {
            Err(format!("is from `{lease}`, after the entry's `connectedAt`"))
        }
        _ => Ok(()),
    }
}

/// The milliseconds since 1970 of a time in whatever form: the contract does not say how a lease writes its own. Integers are
/// seconds, milliseconds or microseconds, by their length.
fn moment_of(text: &str) -> Option<i64> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok();
    }
    let number: i64 = text.parse().ok()?;
    Some(match text.len() {
        ..=10 => number.saturating_mul(1_000),
        11..=13 => number,
        _ => number / 1_000,
    })
}

fn fields(value: &Value, names: &[&str]) -> Result<(), String> {
    let mut seen: Vec<&str> =
        value.as_object().into_iter().flatten().map(|it| it.0.as_str()).collect();
    seen.sort_unstable();
    if seen == names {
        Ok(())
    } else {
        Err(format!("{value}, not the fields {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_has_its_fields_its_key_and_its_partition() {
        const ROOM: &str = "0f9c31de-4b7a-4c55-9a1e-d2b3c4e5f607";
        let good = json!({"roomId": ROOM, "userId": ROOM, "change": "left", "at": "2026-01-02T03:04:05.678Z"});
        let check = |value: &Value, key: &str, partition: i32| {
            let topic = "chat.memberships.v1";
            let began = milliseconds_of("2026-01-02T03:04:00.000Z");
            record(Record { topic, key, value, partition, partitions: 4, began })
        };
        let wanted = (0..4).find(|partition| check(&good, ROOM, *partition).is_ok()).unwrap();
        assert!(check(&good, ROOM, (wanted + 1) % 4).is_err());
        assert!(check(&good, "other", wanted).is_err());
        for (field, wrong) in [
            ("change", json!("removed")),
            ("at", json!(7)),
            ("at", json!("2026-01-02T02:04:05.678Z")),
            ("roomId", json!("x")),
            ("extra", json!("x")),
        ] {
            let mut bad = good.clone();
            bad[field] = wrong;
            assert!(check(&bad, ROOM, wanted).is_err(), "{field}");
        }
    }

    #[test]
    fn memberships_are_told_in_order_and_lead_to_the_members() {
        let change = |user: &str, change: &str, at: u8| {
            let at = format!("2026-01-31T12:00:00.00{at}Z");
            json!({"roomId": "r", "userId": user, "change": change, "at": at})
        };
        let members = |users: &[&str]| {
            let users = users.iter().map(|user| (*user).to_owned()).collect();
            BTreeMap::from([("r".to_owned(), users)])
        };
        let records = [("a", "joined"), ("b", "joined"), ("b", "left")];
        let mut at = 0;
        let records = records.map(|(user, what)| {
            at += 1;
            change(user, what, at)
        });
        assert_eq!(changes(&records, &members(&["a"])), Ok(()));
        assert_eq!(changes(&records, &BTreeMap::new()), Ok(()));
        let swapped = [&records[2], &records[1], &records[0]].map(Clone::clone);
        assert_eq!(changes(&swapped, &members(&["a"])), Ok(()));
        assert!(changes(&records, &members(&["a", "b"])).is_err());
        assert!(changes(&records, &members(&[])).is_err());
        assert!(changes(&records[1..2], &members(&["a"])).is_err());
        assert!(changes(&records[2..], &BTreeMap::new()).is_err());
        let twice = |at: u8| [change("a", "joined", 1), change("a", "joined", at)];
        assert_eq!(changes(&twice(1), &members(&["a"])), Ok(()));
        assert!(changes(&twice(2), &members(&["a"])).is_err());
    }

    #[test]
    fn a_persisted_record_says_what_was_heard() {
        let with = |field: &str, value: &str| {
            let mut message = json!({
                "clientMsgId": "c", "roomId": "r", "senderId": "s", "messageId": "m",
                "createdAt": "t", "content": "hi",
            });
            message[field] = json!(value);
            message
        };
        let check = |record: &Value| as_heard(NAMES[1], record, &[with("content", "hi")]);
        assert_eq!(check(&with("content", "hi")), Ok(()));
        assert_eq!(check(&with("clientMsgId", "another")), Ok(()));
        for field in ["messageId", "createdAt", "content"] {
            assert!(check(&with(field, "other")).is_err(), "{field}");
        }
    }

    #[test]
    fn a_dead_letter_is_the_original_and_says_why_and_from_where() {
        let written = [["chat.messages.v1", "r", "no JSON"].map(str::to_owned)];
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [
            header("reason", "no JSON"),
            header("topic", "h1.chat.messages.v1"),
            header("partition", "3"),
            header("offset", "12"),
        ];
        assert_eq!(letter("r", b"no JSON", &headers, &written), Ok(()));
        assert!(letter("r", b"", &headers, &written).is_err());
        assert!(letter("q", b"no JSON", &headers, &written).is_err());
        assert!(letter("r", b"no JSON", &headers[..1], &written).is_err());
        assert_eq!(letter("r", b"no JSON", &headers[..2], &written), Ok(()));
        assert!(letter("r", b"no JSON", &headers[1..], &written).is_err());
    }

    #[test]
    fn a_lease_is_older_than_what_it_counts_for() {
        let connected = "2026-01-31T12:00:02.000Z";
        let right = [
            "2026-01-31T12:00:01.000Z",
            "2026-01-31T12:00:02.000Z",
            "2026-01-31T13:00:01+01:00",
            "1769860801",
            "1769860802000",
            "1769860801999999",
        ];
        for lease in right {
            assert_eq!(covers(lease, connected), Ok(()), "{lease}");
        }
        for lease in ["2026-01-31T12:00:02.001Z", "1769860803", "1769860802001", "gw1", ""] {
            assert!(covers(lease, connected).is_err(), "{lease}");
        }
    }

    #[test]
    fn an_entry_has_a_server_and_a_time() {
        let sockets = BTreeSet::from(["s".to_owned()]);
        let check =
            |field: &str, value: Value| entries(&[(field.to_owned(), value.to_string())], &sockets);
        let good = json!({"serverId": "gw1", "connectedAt": "2026-01-02T03:04:05.678Z"});
        assert_eq!(check("s", good.clone()), Ok(()));
        assert!(check("other", good).is_err());
        assert!(check("s", json!({"serverId": "gw1", "connectedAt": 7})).is_err());
        assert!(
            check("s", json!({"serverId": "", "connectedAt": "2026-01-02T03:04:05.678Z"})).is_err()
        );
        assert!(check("s", json!("online")).is_err());
    }
}

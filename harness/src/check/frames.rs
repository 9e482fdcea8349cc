//! Every frame as the contract says: which packets, which fields, which formats.

use serde_json::Value;
use uuid::{Uuid, Variant};

use super::Finding;
use crate::history::Story;

const FIELDS: [&str; 7] =
    ["clientMsgId", "content", "createdAt", "messageId", "roomId", "senderId", "type"];

/// Longest content, in UTF-16 code units.
const CONTENT_UNITS_MAX: usize = 5_000;

pub(super) fn frames(story: &Story, findings: &mut Vec<Finding>) {
    let mut report = |at, text| findings.push(Finding { invariant: "frames", at, text });
    for (at, connection, reason) in &story.malformed {
        report(*at, format!("{}: {reason}", story.device(*connection)));
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
    let id = Uuid::try_parse(text("messageId")?).ok();
    if !id.is_some_and(|id| id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122) {
        return Err(format!("has the `messageId` {}, which is no UUIDv7", fields["messageId"]));
    }
    for field in ["roomId", "senderId"] {
        let id = text(field)?;
        if Uuid::try_parse(id).is_err() || id.to_lowercase() != id {
            return Err(format!("has the `{field}` {id:?}, which is no UUID in lower case"));
        }
    }
    if Uuid::try_parse(text("clientMsgId")?).is_err() {
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
    if !is_time(text("createdAt")?) {
        return Err(format!(
            "has the `createdAt` {}, not RFC 3339 with milliseconds and `Z`",
            fields["createdAt"]
        ));
    }
    Ok(())
}

/// `2026-01-02T03:04:05.678Z`.
pub(super) fn is_time(text: &str) -> bool {
    const PATTERN: &str = "dddd-dd-ddTdd:dd:dd.dddZ";
    text.len() == PATTERN.len()
        && text.chars().zip(PATTERN.chars()).all(|(c, wanted)| match wanted {
            'd' => c.is_ascii_digit(),
            literal => c == literal,
        })
}

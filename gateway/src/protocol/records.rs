//! Kafka: the JSON values of the topics (contract, section 4). The key is always the room's id.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time::{format_time, parse_time};
use crate::chat::{
    Change, ClientMsgId, Content, ContentError, Draft, IdError, Message, MessageId, MessageKind,
    RoomId, UserId,
};

/// Why a record is not what its topic promises. The text goes into the header of the dead letter.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the record has no value")]
    NoValue,
    /// Says where, not what: the library's own text quotes the value.
    #[error(
        "the value is not the JSON object of this topic: {what}, at column {column} of line {line}"
    )]
    Json { what: String, line: usize, column: usize },
    #[error("`{field}`: {source}")]
    Id { field: &'static str, source: IdError },
    #[error("`{field}` is not a time in RFC 3339")]
    Time { field: &'static str },
    #[error("`messageType` is none of `TEXT`, `IMAGE`, `SYSTEM`")]
    Kind,
    #[error("`change` is neither `joined` nor `left`")]
    Change,
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl From<serde_json::Error> for RecordError {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        // Of its texts only this one is known to quote nothing that somebody wrote.
        let what = match text.split_once(" at line ") {
            Some((what, _)) if what.starts_with("missing field") => what.to_owned(),
            _ => format!("{:?} error", error.classify()),
        };
        Self::Json { what, line: error.line(), column: error.column() }
    }
}

/// A message on its way to the persistor: the value of `chat.messages.v1`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    pub sender_id: UserId,
    pub draft: Draft,
}

/// A membership change: the value of `chat.memberships.v1`, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembershipChanged {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub change: Change,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProducedJson<T> {
    event_id: T,
    room_id: T,
    sender_id: T,
    client_msg_id: T,
    message_type: T,
    content: T,
    produced_at: T,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct PersistedJson<T> {
    message_id: T,
    room_id: T,
    sender_id: T,
    client_msg_id: T,
    message_type: T,
    content: T,
    created_at: T,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct MembershipJson<T> {
    room_id: T,
    user_id: T,
    change: T,
    at: T,
}

/// The value of `chat.messages.v1`.
pub fn encode_produced(sender: UserId, draft: &Draft, now: DateTime<Utc>) -> Vec<u8> {
    to_json(&ProducedJson {
        event_id: Uuid::now_v7().to_string().as_str(),
        room_id: &draft.room_id.to_string(),
        sender_id: &sender.to_string(),
        client_msg_id: draft.client_msg_id.as_str(),
        message_type: draft.kind.as_str(),
        content: draft.content.as_str(),
        produced_at: &format_time(now),
    })
}

/// Reads a value of `chat.messages.v1` as strictly as the gateway reads a client: it may come from anybody.
pub fn decode_produced(value: Option<&[u8]>) -> Result<Produced, RecordError> {
    let json: ProducedJson<String> = from_json(value)?;
    let sender_id = UserId::parse(&json.sender_id).map_err(id("senderId"))?;
    let draft = Draft {
        room_id: RoomId::parse(&json.room_id).map_err(id("roomId"))?,
        client_msg_id: ClientMsgId::parse(&json.client_msg_id).map_err(id("clientMsgId"))?,
        kind: MessageKind::parse(&json.message_type).ok_or(RecordError::Kind)?,
        content: Content::new(json.content)?,
    };
    Ok(Produced { sender_id, draft })
}

/// The value of `chat.messages.persisted.v1`.
pub fn encode_persisted(message: &Message) -> Vec<u8> {
    to_json(&PersistedJson {
        message_id: message.id.to_string().as_str(),
        room_id: &message.room_id.to_string(),
        sender_id: &message.sender_id.to_string(),
        client_msg_id: message.client_msg_id.as_str(),
        message_type: message.kind.as_str(),
        content: message.content.as_str(),
        created_at: &format_time(message.created_at),
    })
}

/// Reads a value of `chat.messages.persisted.v1`.
pub fn decode_persisted(value: Option<&[u8]>) -> Result<Message, RecordError> {
    let json: PersistedJson<String> = from_json(value)?;
    Ok(Message {
        id: MessageId::parse(&json.message_id).map_err(id("messageId"))?,
        room_id: RoomId::parse(&json.room_id).map_err(id("roomId"))?,
        sender_id: UserId::parse(&json.sender_id).map_err(id("senderId"))?,
        client_msg_id: ClientMsgId::parse(&json.client_msg_id).map_err(id("clientMsgId"))?,
        kind: MessageKind::parse(&json.message_type).ok_or(RecordError::Kind)?,
        content: Content::new(json.content)?,
        created_at: parse_time(&json.created_at).ok_or(RecordError::Time { field: "createdAt" })?,
    })
}

/// The value of `chat.memberships.v1`.
pub fn encode_membership(changed: MembershipChanged, at: DateTime<Utc>) -> Vec<u8> {
    to_json(&MembershipJson {
        room_id: changed.room_id.to_string().as_str(),
        user_id: &changed.user_id.to_string(),
        change: changed.change.as_str(),
        at: &format_time(at),
    })
}

/// Reads a value of `chat.memberships.v1`.
pub fn decode_membership(value: Option<&[u8]>) -> Result<MembershipChanged, RecordError> {
    let json: MembershipJson<String> = from_json(value)?;
    Ok(MembershipChanged {
        room_id: RoomId::parse(&json.room_id).map_err(id("roomId"))?,
        user_id: UserId::parse(&json.user_id).map_err(id("userId"))?,
        change: Change::parse(&json.change).ok_or(RecordError::Change)?,
    })
}

fn id(field: &'static str) -> impl FnOnce(IdError) -> RecordError {
    move |source| RecordError::Id { field, source }
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a struct of strings always serializes")
}

fn from_json<'a, T: Deserialize<'a>>(value: Option<&'a [u8]>) -> Result<T, RecordError> {
    Ok(serde_json::from_slice(value.ok_or(RecordError::NoValue)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            room_id: RoomId::parse("0b6f1f4e-5a57-4d0c-9a4f-2f1f6c1f0a11").unwrap(),
            client_msg_id: ClientMsgId::parse("7C9E6679-7425-40DE-944B-E07FC1F90AE7").unwrap(),
            kind: MessageKind::Image,
            content: Content::new("a \"quote\" \u{2028} 👍".to_owned()).unwrap(),
        }
    }

    #[test]
    fn a_produced_record_comes_back_as_it_was() {
        let sender_id = UserId::parse("7c9e6679-7425-40de-944b-e07fc1f90ae7").unwrap();
        let value = encode_produced(sender_id, &draft(), Utc::now());
        assert_eq!(decode_produced(Some(&value)).unwrap(), Produced { sender_id, draft: draft() });
    }

    #[test]
    fn a_persisted_record_comes_back_as_it_was() {
        let draft = draft();
        let message = Message {
            id: MessageId(Uuid::now_v7()),
            room_id: draft.room_id,
            sender_id: UserId::parse("7c9e6679-7425-40de-944b-e07fc1f90ae7").unwrap(),
            client_msg_id: draft.client_msg_id,
            kind: draft.kind,
            content: draft.content,
            created_at: parse_time("2026-01-02T03:04:05.678Z").unwrap(),
        };
        assert_eq!(decode_persisted(Some(&encode_persisted(&message))).unwrap(), message);
    }

    #[test]
    fn what_is_not_a_message_says_why() {
        let check = |value: Option<&[u8]>, expect: &str| {
            let error = decode_produced(value).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(None, "no value");
        check(Some(b"{"), "not the JSON object");
        check(Some(b"{\"roomId\":\"x\"}"), "missing field");
        // What somebody wrote is in no log and in no header.
        let quoting = decode_produced(Some(b"\"my secret\"")).unwrap_err().to_string();
        assert!(!quoting.contains("secret"), "{quoting}");
        let value = String::from_utf8(encode_produced(
            UserId::parse("7c9e6679-7425-40de-944b-e07fc1f90ae7").unwrap(),
            &draft(),
            Utc::now(),
        ))
        .unwrap();
        check(Some(value.replace("IMAGE", "VIDEO").as_bytes()), "messageType");
        check(Some(value.replace("7C9E6679", "7C9E667X").as_bytes()), "clientMsgId");
    }
}

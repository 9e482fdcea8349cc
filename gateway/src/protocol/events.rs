//! Client → gateway: the payload of each event, read from loose JSON.
//!
//! Fields are read one by one, because every known event is answered, whatever it carried, and
//! `Invalid message format` echoes the `clientMsgId` of an otherwise broken payload: a lone surrogate or
//! a wall of brackets in one field must not hide the others.

use std::{borrow::Borrow, collections::HashMap, fmt};

use serde::{Deserialize, Deserializer, de::Visitor};
use serde_json::value::RawValue;

use crate::chat::{
    ClientMsgId, Content, ContentError, Draft, IdError, MessageId, MessageKind, RoomId,
};

/// What is wrong with a payload: for our logs, the client gets the contract's exact string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    #[error("the payload is not a JSON object")]
    NotAnObject,
    #[error("`{field}` is missing")]
    Missing { field: &'static str },
    #[error("`{field}` is not a string of Unicode text")]
    NotAString { field: &'static str },
    #[error("`{field}`: {source}")]
    Id { field: &'static str, source: IdError },
    #[error("`type` is neither `TEXT` nor `IMAGE`")]
    Kind,
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// The first argument of an event: its fields, not yet read. Of a repeated field the last counts.
#[derive(Debug)]
pub struct Payload<'a>(Option<HashMap<Name, &'a RawValue>>);

/// The name of a field. Bytes, because one with a lone surrogate is no text and must not hide the others.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Name(Vec<u8>);

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Name, E> {
                Ok(Name(bytes.to_owned()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(text.as_bytes().to_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl<'a> Payload<'a> {
    /// Takes anything: what is no JSON object, or nothing at all, has no fields.
    pub fn new(json: Option<&'a RawValue>) -> Self {
        Self(json.and_then(|json| serde_json::from_str(json.get()).ok()))
    }

    /// The `clientMsgId` to echo: what was sent if it was a string, else `""`.
    pub fn sent_client_msg_id(&self) -> String {
        self.string("clientMsgId").unwrap_or_default()
    }

    /// The `token` of a CONNECT packet's `auth`: `""` if there is none, also if `auth` is no object.
    pub fn token(&self) -> Result<String, PayloadError> {
        match self.optional_string("token") {
            Err(PayloadError::NotAnObject) => Ok(String::new()),
            token => Ok(token?.unwrap_or_default()),
        }
    }

    fn raw(&self, field: &'static str) -> Result<Option<&'a str>, PayloadError> {
        let fields = self.0.as_ref().ok_or(PayloadError::NotAnObject)?;
        Ok(fields.get(field.as_bytes()).map(|value| value.get()))
    }

    fn string(&self, field: &'static str) -> Result<String, PayloadError> {
        self.optional_string(field)?.ok_or(PayloadError::Missing { field })
    }

    fn optional_string(&self, field: &'static str) -> Result<Option<String>, PayloadError> {
        let Some(json) = self.raw(field)? else { return Ok(None) };
        let text = serde_json::from_str(json).map_err(|_| PayloadError::NotAString { field })?;
        Ok(Some(text))
    }

    fn room_id(&self) -> Result<RoomId, PayloadError> {
        let field = "roomId";
        RoomId::parse(&self.string(field)?).map_err(|source| PayloadError::Id { field, source })
    }
}

/// `joinRoom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinRoom {
    pub room_id: RoomId,
    /// The newest message that the client has.
    pub after: Option<MessageId>,
}

impl JoinRoom {
    pub fn parse(payload: &Payload<'_>) -> Result<Self, PayloadError> {
        let field = "after";
        let room_id = payload.room_id()?;
        let after = match payload.raw(field)? {
            None | Some("null") => None,
            Some(_) => Some(
                MessageId::parse(&payload.string(field)?)
                    .map_err(|source| PayloadError::Id { field, source })?,
            ),
        };
        Ok(Self { room_id, after })
    }
}

/// `leaveRoom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaveRoom {
    pub room_id: RoomId,
}

impl LeaveRoom {
    pub fn parse(payload: &Payload<'_>) -> Result<Self, PayloadError> {
        Ok(Self { room_id: payload.room_id()? })
    }
}

/// `sendMessage`: the payload becomes a draft at once.
pub fn parse_send_message(payload: &Payload<'_>) -> Result<Draft, PayloadError> {
    let field = "clientMsgId";
    let room_id = payload.room_id()?;
    let client_msg_id = ClientMsgId::parse(&payload.string(field)?)
        .map_err(|source| PayloadError::Id { field, source })?;
    let kind = match payload.optional_string("type").map_err(|_| PayloadError::Kind)? {
        None => MessageKind::default(),
        Some(word) => match MessageKind::parse(&word) {
            Some(kind @ (MessageKind::Text | MessageKind::Image)) => kind,
            Some(MessageKind::System) | None => return Err(PayloadError::Kind),
        },
    };
    let content = Content::new(payload.string("content")?)?;
    Ok(Draft { room_id, client_msg_id, kind, content })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROOM: &str = "0B6F1F4E-5A57-4D0C-9A4F-2F1F6C1F0A11";
    const ID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

    fn draft(json: &str) -> Result<Draft, PayloadError> {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        parse_send_message(&Payload::new(Some(&raw)))
    }

    fn join(json: &serde_json::Value) -> Result<JoinRoom, PayloadError> {
        let raw = RawValue::from_string(json.to_string()).unwrap();
        JoinRoom::parse(&Payload::new(Some(&raw)))
    }

    #[test]
    fn a_message_is_text_unless_it_says_otherwise_and_unknown_fields_are_ignored() {
        let payload = json!({"roomId": ROOM, "clientMsgId": ID, "content": "hi", "extra": [1]});
        let draft = draft(&payload.to_string()).unwrap();
        assert_eq!(draft.kind, MessageKind::Text);
        assert_eq!(draft.room_id.to_string(), ROOM.to_lowercase());
        assert_eq!(draft.client_msg_id.as_str(), ID);
    }

    #[test]
    fn what_is_wrong_with_a_message_is_said() {
        let check = |payload: serde_json::Value, expect: PayloadError| {
            assert_eq!(draft(&payload.to_string()), Err(expect), "{payload}");
        };
        check(json!("text"), PayloadError::NotAnObject);
        check(json!([ROOM]), PayloadError::NotAnObject);
        check(json!({}), PayloadError::Missing { field: "roomId" });
        check(json!({"roomId": 7}), PayloadError::NotAString { field: "roomId" });
        check(
            json!({"roomId": ROOM, "clientMsgId": "1", "content": "a"}),
            PayloadError::Id { field: "clientMsgId", source: IdError::NotAUuid },
        );
        for kind in [json!("SYSTEM"), json!("text"), json!(null), json!(1)] {
            check(
                json!({"roomId": ROOM, "clientMsgId": ID, "content": "a", "type": kind}),
                PayloadError::Kind,
            );
        }
        check(
            json!({"roomId": ROOM, "clientMsgId": ID, "content": ""}),
            PayloadError::Content(ContentError::Empty),
        );
    }

    #[test]
    fn one_broken_field_does_not_hide_the_id_to_echo() {
        let deep = "[".repeat(50_000) + &"]".repeat(50_000);
        for content in [r#""\ud800""#, deep.as_str(), "7"] {
            let json = format!(r#"{{"content":{content},"roomId":"{ROOM}","clientMsgId":"{ID}"}}"#);
            let raw = RawValue::from_string(json).unwrap();
            let payload = Payload::new(Some(&raw));
            assert_eq!(payload.sent_client_msg_id(), ID);
            assert_eq!(
                parse_send_message(&payload),
                Err(PayloadError::NotAString { field: "content" })
            );
        }
    }

    #[test]
    fn a_name_that_is_no_text_does_not_hide_the_other_fields() {
        let json =
            format!(r#"{{"\ud800":1,"room\u0049d":"{ROOM}","clientMsgId":"{ID}","content":"hi"}}"#);
        assert_eq!(draft(&json).unwrap().client_msg_id.as_str(), ID);
    }

    #[test]
    fn the_echoed_id_is_the_one_sent_or_empty() {
        let check = |json: &str, expect: &str| {
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            assert_eq!(Payload::new(Some(&raw)).sent_client_msg_id(), expect, "{json}");
        };
        check(r#"{"clientMsgId":"Not a UUID"}"#, "Not a UUID");
        check(r#"{"clientMsgId":7}"#, "");
        check("[]", "");
        assert_eq!(Payload::new(None).sent_client_msg_id(), "");
    }

    #[test]
    fn after_is_optional_and_a_message_id() {
        assert_eq!(join(&json!({"roomId": ROOM})).unwrap().after, None);
        assert_eq!(join(&json!({"roomId": ROOM, "after": null})).unwrap().after, None);
        assert!(join(&json!({"roomId": ROOM, "after": ID})).unwrap().after.is_some());
        assert!(join(&json!({"roomId": ROOM, "after": "x"})).is_err());
        assert!(join(&json!({"roomId": ROOM, "after": 1})).is_err());
    }
}

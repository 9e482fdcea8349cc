//! Gateway → client: the acks, and the one event.

use serde::Serialize;

use crate::{chat::Message, protocol::format_time};

/// The ack of `joinRoom`, `leaveRoom` and `heartbeat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlainAck {
    pub success: bool,
    /// Only with `success`: messages were missed that were not replayed; the client pages them over HTTP.
    #[serde(skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Only without `success`: one of the contract's exact strings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
}

impl PlainAck {
    pub const SUCCESS: Self = Self { success: true, truncated: false, error: None };
    pub const TRUNCATED: Self = Self { success: true, truncated: true, error: None };

    pub fn failed(error: &'static str) -> Self {
        Self { success: false, truncated: false, error: Some(error) }
    }
}

/// The ack of `sendMessage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageAck {
    /// Byte for byte what the client sent, `""` if that was not a string.
    pub client_msg_id: String,
    /// `ACCEPTED` or `FAILED`.
    pub status: &'static str,
    /// Only with `FAILED`: one of the contract's exact strings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
}

impl MessageAck {
    pub fn accepted(client_msg_id: String) -> Self {
        Self { client_msg_id, status: "ACCEPTED", error: None }
    }

    pub fn failed(client_msg_id: String, error: &'static str) -> Self {
        Self { client_msg_id, status: "FAILED", error: Some(error) }
    }
}

/// The name of the event that carries a [`MessageBody`] to a room.
pub const NEW_MESSAGE: &str = "newMessage";

/// A message as clients see it, in `newMessage` and over HTTP: exactly these seven fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageBody<'a> {
    pub message_id: String,
    pub room_id: String,
    pub sender_id: String,
    pub client_msg_id: &'a str,
    pub r#type: &'static str,
    pub content: &'a str,
    pub created_at: String,
}

impl<'a> From<&'a Message> for MessageBody<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            message_id: message.id.to_string(),
            room_id: message.room_id.to_string(),
            sender_id: message.sender_id.to_string(),
            client_msg_id: message.client_msg_id.as_str(),
            r#type: message.kind.as_str(),
            content: message.content.as_str(),
            created_at: format_time(message.created_at),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use serde_json::to_string;

    use super::*;

    #[test]
    fn acks_are_literally_those_of_the_contract() {
        let check = |json: String, expect: &str| assert_eq!(json, expect);
        check(to_string(&PlainAck::SUCCESS).unwrap(), r#"{"success":true}"#);
        check(to_string(&PlainAck::TRUNCATED).unwrap(), r#"{"success":true,"truncated":true}"#);
        check(
            to_string(&PlainAck::failed("Invalid room")).unwrap(),
            r#"{"success":false,"error":"Invalid room"}"#,
        );
        check(
            to_string(&MessageAck::accepted("A".to_owned())).unwrap(),
            r#"{"clientMsgId":"A","status":"ACCEPTED"}"#,
        );
        check(
            to_string(&MessageAck::failed("A".to_owned(), "Rate limit exceeded")).unwrap(),
            r#"{"clientMsgId":"A","status":"FAILED","error":"Rate limit exceeded"}"#,
        );
    }
}

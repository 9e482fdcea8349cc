//! The acks that a scenario can want.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::schema::one_of;

/// The ack that is wanted: `ACCEPTED`, `success`, an error's exact text, or `none` for an event without an ack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AckWanted {
    Accepted,
    Success,
    /// `{ success: true, truncated: true }`.
    Truncated,
    Error(String),
    /// The event asks for no ack.
    None,
    /// Whatever it says.
    Any,
}

impl<'de> Deserialize<'de> for AckWanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "ACCEPTED" => Self::Accepted,
            "success" => Self::Success,
            "truncated" => Self::Truncated,
            "none" => Self::None,
            "any" => Self::Any,
            _ => Self::Error(text),
        })
    }
}

impl JsonSchema for AckWanted {
    fn schema_name() -> Cow<'static, str> {
        "AckWanted".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words = one_of(&[
            ("ACCEPTED", "of `sendMessage`: the message is kept"),
            ("success", "`{ success: true }`"),
            ("truncated", "`{ success: true, truncated: true }`"),
            ("none", "the event asks for no ack"),
            ("any", "whatever it says"),
        ]);
        json_schema!({
            "description": "The ack that is wanted: one of the words, or an error's exact text.",
            "anyOf": [
                words,
                {
                    "type": "string",
                    "examples": [
                        "Invalid message format",
                        "Invalid room",
                        "Message delivery failed",
                        "Not a member of this room",
                        "Rate limit exceeded",
                        "Temporarily unavailable",
                    ],
                },
            ],
        })
    }
}

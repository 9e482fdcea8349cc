//! Ids as newtypes, so that a room can never be passed where a user is meant.

use std::fmt;

use uuid::{Uuid, Variant};

/// Length of the hyphenated form, the only one that is read.
const HYPHENATED_CHARS: usize = 36;

/// Why a text is not an id (contract, section 1: any version with the RFC variant, any letter case).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("an id is a UUID of 36 characters such as `0b6f1f4e-5a57-4d0c-9a4f-2f1f6c1f0a11`")]
    NotAUuid,
    #[error("an id is a UUID with the RFC 9562 variant: its 20th character is one of 8, 9, a, b")]
    NotTheRfcVariant,
}

fn parse_any_variant(text: &str) -> Result<Uuid, IdError> {
    if text.len() != HYPHENATED_CHARS {
        return Err(IdError::NotAUuid);
    }
    Uuid::try_parse(text).map_err(|_| IdError::NotAUuid)
}

fn parse(text: &str) -> Result<Uuid, IdError> {
    let uuid = parse_any_variant(text)?;
    match uuid.get_variant() {
        Variant::RFC4122 => Ok(uuid),
        Variant::NCS | Variant::Microsoft | Variant::Future | _ => Err(IdError::NotTheRfcVariant),
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $parse:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads the hyphenated form in any letter case; `Display` gives lower case.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                $parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id! {
    /// An account: the `sub` of its tokens. Whoever issues them may number people as they like, so any variant will do.
    UserId, parse_any_variant
}
uuid_id! {
    /// A room. Also the key of its records, so that a room has one partition.
    RoomId, parse
}
uuid_id! {
    /// A stored message: a UUIDv7 that rises within its room, hence a cursor.
    MessageId, parse
}

/// The id that a client gave its message: compared by value, echoed as it was spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientMsgId {
    value: Uuid,
    spelling: String,
}

impl ClientMsgId {
    /// Keeps `text` byte for byte beside the value that it spells.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Ok(Self { value: parse(text)?, spelling: text.to_owned() })
    }

    /// What retries are recognised by.
    pub fn value(&self) -> Uuid {
        self.value
    }

    /// Exactly what the client sent.
    pub fn as_str(&self) -> &str {
        &self.spelling
    }
}

/// One connection of one user, as Socket.IO names it (the `sid` of the `40` packet).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub String);

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_any_letter_case_and_shown_in_lower_case() {
        let id = RoomId::parse("0B6F1F4E-5A57-4D0C-9A4F-2F1F6C1F0A11").unwrap();
        assert_eq!(id.to_string(), "0b6f1f4e-5a57-4d0c-9a4f-2f1f6c1f0a11");
    }

    #[test]
    fn only_the_hyphenated_form_with_the_rfc_variant_is_an_id() {
        for text in [
            "",
            "0b6f1f4e5a574d0c9a4f2f1f6c1f0a11",
            "{0b6f1f4e-5a57-4d0c-9a4f-2f1f6c1f0a11}",
            "urn:uuid:0b6f1f4e-5a57-4d0c-9a4f-2f1f6c1f0a11",
            "0b6f1f4e-5a57-4d0c-9a4f-2f1f6c1f0a1g",
            "0b6f1f4e-5a57-4d0c-9a4f-2f1f6c1f0a1é",
        ] {
            assert_eq!(RoomId::parse(text), Err(IdError::NotAUuid), "{text}");
        }
        for text in ["00000000-0000-0000-0000-000000000000", "0b6f1f4e-5a57-4d0c-ca4f-2f1f6c1f0a11"]
        {
            assert_eq!(RoomId::parse(text), Err(IdError::NotTheRfcVariant), "{text}");
        }
    }

    #[test]
    fn every_version_is_accepted() {
        for version in "123456789abcdef0".chars() {
            let text = format!("0b6f1f4e-5a57-{version}d0c-9a4f-2f1f6c1f0a11");
            assert!(UserId::parse(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_client_msg_id_keeps_its_spelling_and_compares_by_value() {
        let upper = ClientMsgId::parse("0B6F1F4E-5A57-4D0C-9A4F-2F1F6C1F0A11").unwrap();
        let lower = ClientMsgId::parse("0b6f1f4e-5a57-4d0c-9a4f-2f1f6c1f0a11").unwrap();
        assert_eq!(upper.as_str(), "0B6F1F4E-5A57-4D0C-9A4F-2F1F6C1F0A11");
        assert_eq!(upper.value(), lower.value());
    }
}

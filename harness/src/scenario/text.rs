//! What devices say: literally, or made up anew in each run.

use serde::{Deserialize, Deserializer, de::Error as _};

/// A text of a fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    Literal(String),
    /// `{{ any chat text }}`: made up from the run's seed.
    Any(Generator),
}

/// What can be made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// 1 to 5000 UTF-16 units that the contract accepts.
    ChatText,
    /// A payload that the contract accepts.
    Payload,
    /// A payload that it refuses.
    MalformedPayload,
}

impl Generator {
    const ALL: [(&str, Self); 3] = [
        ("any chat text", Self::ChatText),
        ("any payload", Self::Payload),
        ("any malformed payload", Self::MalformedPayload),
    ];
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let inner = text.trim().strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
        let Some(inner) = inner else { return Ok(Self::Literal(text)) };
        let words = inner.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((_, generator)) = Generator::ALL.iter().find(|(name, _)| *name == words) {
            return Ok(Self::Any(*generator));
        }
        let known: Vec<_> =
            Generator::ALL.iter().map(|(name, _)| format!("`{{{{ {name} }}}}`")).collect();
        let known = known.join(", ");
        Err(D::Error::custom(format!("nothing makes up `{words}`: there are {known}")))
    }
}

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

    /// The generator that `{{ any ... }}` names, if a text is one.
    pub fn named(text: &str) -> Option<Self> {
        let words = words_of(text)?;
        Self::ALL.iter().find(|(name, _)| *name == words).map(|(_, generator)| *generator)
    }
}

/// What stands between `{{` and `}}`, with single spaces.
fn words_of(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    Some(inner.split_whitespace().collect::<Vec<_>>().join(" "))
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let Some(words) = words_of(&text) else { return Ok(Self::Literal(text)) };
        if let Some(generator) = Generator::named(&text) {
            return Ok(Self::Any(generator));
        }
        let known: Vec<_> =
            Generator::ALL.iter().map(|(name, _)| format!("`{{{{ {name} }}}}`")).collect();
        let known = known.join(", ");
        Err(D::Error::custom(format!("nothing makes up `{words}`: there are {known}")))
    }
}

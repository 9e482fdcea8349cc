//! What devices say: literally, or made up anew in each run.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};

/// The names of a text, as `hi.id` in `${hi.id|upper}`; `$${` begins none.
pub(crate) fn names_in(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((ahead, after)) = rest.split_once("${") {
        rest = after;
        if !ahead.ends_with('$') {
            let name = after.split(['}', '|']).next().unwrap_or_default();
            names.push(name.trim());
        }
    }
    names
}

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

    /// All of them as they are written.
    fn written() -> [String; 3] {
        Self::ALL.map(|(name, _)| format!("{{{{ {name} }}}}"))
    }

    /// What to say of one that is unknown.
    fn known() -> String {
        Self::written().map(|written| format!("`{written}`")).join(", ")
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
        let Some(words) = words_of(&text) else {
            let is_open = text.trim_start().starts_with("{{ any ") && !text.contains("}}");
            if is_open {
                return Err(D::Error::custom("`{{` is never closed: write `}}` at its end"));
            }
            return Ok(Self::Literal(text));
        };
        if let Some(generator) = Generator::named(&text) {
            return Ok(Self::Any(generator));
        }
        let known = Generator::known();
        Err(D::Error::custom(format!("nothing makes up `{words}`: there are {known}")))
    }
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = Generator::ALL.map(|(name, _)| name.replace(' ', r"\s+")).join("|");
        let literal = r"(?!\s*\{\{[\s\S]*\}\}\s*$)";
        let mut examples = Generator::written().to_vec();
        examples.push("hi".to_owned());
        json_schema!({
            "description": "A text as it is, or in `{{ }}` what is made up anew in each run.",
            "type": ["string", "number"],
            "pattern": format!(r"^({literal}|\s*\{{\{{\s*({names})\s*\}}\}}\s*$)"),
            "patternErrorMessage": format!("nothing makes this up: there are {}", Generator::known()),
            "examples": examples,
        })
    }
}

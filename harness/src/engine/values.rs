//! What names stand for: `${alice}`, `${general}`, `${hi.id}`, `{{ any chat text }}`.

use serde_json::Value;

use super::world::World;
use crate::scenario::{Generator, Text};

impl World {
    /// A text with every `${name}` replaced. An error names what stands for nothing.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(begin) = rest.find("${") {
            let Some(len) = rest[begin..].find('}') else { break };
            filled.push_str(&rest[..begin]);
            filled.push_str(&self.value_of(&rest[begin + 2..begin + len])?);
            rest = &rest[begin + len + 1..];
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// A payload with its names and generators replaced. `room`: for payloads that are to be accepted.
    pub(super) fn fill_json(&self, value: &Value, room: &str) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => match Generator::named(text) {
                Some(generator) => self.source().value(generator, room),
                None => Value::String(self.fill(text)?),
            },
            Value::Array(items) => {
                let filled: Result<_, _> =
                    items.iter().map(|item| self.fill_json(item, room)).collect();
                Value::Array(filled?)
            }
            Value::Object(fields) => {
                let filled: Result<_, String> = fields
                    .iter()
                    .map(|(name, item)| Ok((self.fill(name)?, self.fill_json(item, room)?)))
                    .collect();
                Value::Object(filled?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    /// What somebody says.
    pub(super) fn text(&self, text: &Text) -> Result<String, String> {
        Ok(match text {
            Text::Literal(text) => self.fill(text)?,
            Text::Any(Generator::ChatText) => self.source().chat_text(),
            Text::Any(Generator::Payload | Generator::MalformedPayload) => {
                return Err("`text` is a text: write `payload:` for a made-up payload".to_owned());
            }
        })
    }

    fn value_of(&self, written: &str) -> Result<String, String> {
        let (name, change) = match written.split_once('|') {
            Some((name, change)) => (name.trim(), change.trim()),
            None => (written.trim(), ""),
        };
        let value = self.id_of(name).ok_or_else(|| format!("`${{{name}}}` stands for nothing"))?;
        match change {
            "" => Ok(value),
            "upper" => Ok(value.to_uppercase()),
            "lower" => Ok(value.to_lowercase()),
            other => Err(format!("`|{other}` is unknown: there are `|upper` and `|lower`")),
        }
    }
}

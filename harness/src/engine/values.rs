//! What names stand for: `${alice}`, `${general}`, `${hi.id}`, `{{ any chat text }}`.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::world::{Named, World};
use crate::{
    history::Story,
    scenario::{Generator, Text, names_in},
};

/// How long it may take until somebody hears a message whose id is needed.
const ID_LIMIT: Duration = Duration::from_secs(5);

impl World {
    /// A text with every `${name}` replaced; `$${` is a `${` that begins no name. An error names what stands for nothing.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(begin) = rest.find("${") {
            if let Some(ahead) = rest[..begin].strip_suffix('$') {
                // `$${` is no name.
                filled.push_str(ahead);
                filled.push_str("${");
                rest = &rest[begin + 2..];
                continue;
            }
            let Some(len) = rest[begin..].find('}') else { break };
            filled.push_str(&rest[..begin]);
            filled.push_str(&self.value_of(&rest[begin + 2..begin + len])?);
            rest = &rest[begin + len + 1..];
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// Waits until somebody has heard each message whose `${hi.id}` a text needs: no ack tells that id.
    pub(super) async fn wait_for_ids(&self, text: &str) {
        let deadline = Instant::now() + ID_LIMIT;
        for name in names_in(text) {
            let Some(message) = name.strip_suffix(".id") else { continue };
            let Some(sent) = self.messages(message).ok().and_then(|all| all.into_iter().next())
            else {
                continue;
            };
            let heard = |story: &Story| story.message_id(&sent.room, &sent.client_msg_id).map(drop);
            self.recorder.until(deadline, heard).await;
        }
    }

    /// The `messageId` of a message, once somebody has heard it.
    pub(super) async fn id_in_time(&self, message: Option<&Named>) -> Option<String> {
        let Named { room, client_msg_id, .. } = message?;
        let heard = |story: &Story| story.message_id(room, client_msg_id);
        self.recorder.until(Instant::now() + ID_LIMIT, heard).await
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
        let value = self.id_of(name).ok_or_else(|| match name.strip_suffix(".id") {
            Some(message) => {
                format!("`${{{name}}}` is known once a device has heard `{message}`, and none has")
            }
            None => format!("`${{{name}}}` stands for nothing"),
        })?;
        match change {
            "" => Ok(value),
            "upper" => Ok(value.to_uppercase()),
            "lower" => Ok(value.to_lowercase()),
            other => Err(format!("`|{other}` is unknown: there are `|upper` and `|lower`")),
        }
    }
}

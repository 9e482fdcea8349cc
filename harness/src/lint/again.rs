//! A `clientMsgId` that is used again by hand: in a payload, in a frame, or in a record of another program.

use serde_json::Value;

use super::{
    Linter,
    hearing::{Named, actor_of},
    order::Order,
};
use crate::{
    contract::REFUSALS,
    scenario::{AckWanted, Send, names_in},
};

impl Named {
    /// Whatever it was refused for is no longer so.
    fn may_be_kept(&mut self) {
        if self.refusal.take().is_some() {
            self.order = Order::default();
        }
        self.order.is_retried = true;
    }
}

impl Linter<'_> {
    /// A device sends a payload which may be that of a message that has a name: a retry, or another message with its id.
    pub(super) fn sends_by_hand(&mut self, send: &Send, payload: &Value) {
        let Some(name) = name_in(payload, "clientMsgId") else { return };
        if let Some(AckWanted::Error(error)) = send.ack.as_ref().map(|ack| &ack.value)
            && REFUSALS.contains(&error.as_str())
        {
            return;
        }
        let Some(mut message) = self.known.messages.remove(&name) else { return };
        message.may_be_kept();
        let room = name_in(payload, "roomId");
        if room != message.room || message.sender != actor_of(&send.from.value) {
            // It is one of two from here on.
            self.known.shared.insert(name.clone());
            message.room = None;
        }
        self.find_hearers(&mut message, false);
        self.known.messages.insert(name, message);
    }

    /// A device writes a frame, in which anything may be.
    pub(super) fn writes_by_hand(&mut self, frame: &str) {
        for name in names_in(frame) {
            if let Some(message) = self.known.messages.get_mut(name) {
                message.may_be_kept();
                self.known.shared.insert(name.to_owned());
                message.room = None;
            }
        }
    }

    /// The record may be that of a message which was sent, or refused: it is stored, and heard, whoever writes it.
    pub(super) fn published_again(&mut self, record: &Value) {
        let message = name_in(record, "clientMsgId");
        if let Some(message) = message.and_then(|name| self.known.messages.get_mut(&name)) {
            message.may_be_kept();
            message.is_written = true;
            message.held_by.retain(|what| what.starts_with("gw"));
        }
    }
}

/// The name that stands for the whole of a field.
pub(super) fn name_in(value: &Value, field: &str) -> Option<String> {
    let name = value[field].as_str()?.strip_prefix("${")?.strip_suffix('}')?;
    Some(name.split('|').next().unwrap_or_default().trim().to_owned())
}

//! `send`: whether what is sent can be answered as wanted.

use super::{Linter, answers::INVALID};
use crate::{
    contract::CONTENT_UNITS_MAX,
    scenario::{AckWanted, Generator, Place, Send, Spanned, Step, Text},
};

/// Most messages that one step may send, and most that a device may send in a second.
const COUNT_MAX: usize = 100_000;
const RATE_MAX: u32 = 100_000;

/// The types that a client may give a message.
const KINDS: [&str; 2] = ["TEXT", "IMAGE"];

impl Linter<'_> {
    pub(super) fn send(&mut self, step: &Spanned<Step>, send: &Send) {
        let Send { from, room, text, payload, again, count, rate, within, .. } = send;
        // Over a connection that was ended, whatever becomes of it, is what a retry begins with.
        let may_fail = send.ack.as_ref().is_some_and(|it| it.value == AckWanted::Any);
        if !(may_fail && self.known.lost.contains(&from.value)) {
            self.one_connected(from);
        }
        self.one_device(from);
        self.asks(&from.value, send.ack.as_ref());
        self.ack("sendMessage", send.ack.as_ref());
        // Whatever becomes of a payload is right where the step does not say.
        if payload.is_none() || send.ack.is_some() {
            self.must_be_answered(&from.value, send.ack.as_ref(), from.into());
            if send.ack.as_ref().is_none_or(|ack| ack.value == AckWanted::Accepted) {
                self.must_be_up("kafka", from.into());
            }
        }
        if let Some(Spanned { value: Text::Literal(literal), .. }) = text {
            self.names_in(literal, step.into());
            self.length_of_text(literal, step.into(), send.ack.as_ref());
        }
        if let Some(Spanned { value: Text::Any(generator), .. }) = text
            && *generator != Generator::ChatText
        {
            let problem = self.problem(step, "what is made up here is a payload and no text");
            self.report(problem.with_help("write `payload:` instead of `room` and `text`"));
        }
        if let Some(payload) = payload {
            self.names_of(payload);
            self.payload_of_message(payload, send);
            self.sends_by_hand(send, &payload.value);
        }
        self.times([within]);
        let ways = [text.is_some(), payload.is_some(), again.is_some()];
        match ways.iter().filter(|way| **way).count() {
            0 => {
                let help =
                    "write `text: \"hi\"`, `text: \"{{ any chat text }}\"`, `payload:` or `again:`";
                self.report(self.problem(step, "nothing is sent here").with_help(help));
            }
            1 => {}
            _ => {
                let text = "`text`, `payload` and `again` exclude each other: write one of them";
                self.report(self.problem(step, text));
            }
        }
        if text.is_some() && room.is_none() {
            self.report(self.problem(step, "`room` is missing here"));
        }
        if let Some(room) = room {
            self.room(&room.value, room.into());
        }
        if let Some(again) = again {
            self.message(again);
        }
        self.what_is_wrong(send);
        if let Some(count) = count
            && !(1..=COUNT_MAX).contains(&count.value)
        {
            let text = format!("`count` is 1 to {COUNT_MAX}, not {}", count.value);
            self.report(self.problem(count, text));
        }
        if let (Some(room), Some(_)) = (room, text) {
            self.member("sendMessage", &from.value, &room.value, send.ack.as_ref(), from.into());
        }
        if let Some(rate) = rate
            && !(1..=RATE_MAX).contains(&rate.value)
        {
            let text = format!("`rate` is 1 to {RATE_MAX} in a second, not {}", rate.value);
            self.report(self.problem(rate, text));
        }
        self.sends(send);
    }

    /// What is refused as invalid has something wrong.
    fn what_is_wrong(&mut self, send: &Send) {
        let is_kind = self.kind_of_message(send.kind.as_ref(), send.ack.as_ref());
        let is_text = match send.text.as_ref().map(|text| &text.value) {
            // What a name stands for, and what is added to each of several, may make it too long.
            Some(Text::Literal(text)) => {
                is_content(text)
                    && (text.len() < CONTENT_UNITS_MAX / 2 || send.count.is_none())
                    && !text.contains("${")
            }
            Some(Text::Any(generator)) => *generator == Generator::ChatText,
            None => false,
        };
        let is_room =
            send.room.as_ref().is_some_and(|room| !self.known.captured.contains(&room.value));
        if let Some(ack) = &send.ack
            && ack.value == AckWanted::Error(INVALID.to_owned())
            && is_room
            && is_text
            && is_kind
        {
            let problem = self.problem(ack, "nothing is wrong with this message");
            self.report(problem.with_help("write what is to be refused, with `payload:`"));
        }
    }

    /// Whether a message may be as long; a problem if not, unless it is to be refused for it.
    fn length_of_text(&mut self, text: &str, place: Place, ack: Option<&Spanned<AckWanted>>) {
        let units = text.encode_utf16().count();
        let is_taken = ack.is_none_or(|ack| ack.value == AckWanted::Accepted);
        if !is_taken || is_content(text) {
            return;
        }
        let said = if (1..=CONTENT_UNITS_MAX).contains(&units) {
            "a text with a NUL is refused".to_owned()
        } else {
            format!("a text of {units} UTF-16 units is refused: it has 1 to {CONTENT_UNITS_MAX}")
        };
        self.report(self.problem(place, said).with_help("write `ack: Invalid message format`"));
    }

    /// Whether there is such a type; a problem if not, unless the message may be refused for it.
    fn kind_of_message(
        &mut self,
        kind: Option<&Spanned<String>>,
        ack: Option<&Spanned<AckWanted>>,
    ) -> bool {
        let Some(kind) = kind.filter(|kind| !KINDS.contains(&kind.value.as_str())) else {
            return true;
        };
        let is_refused = matches!(
            ack.map(|it| &it.value),
            Some(AckWanted::Error(_) | AckWanted::Any | AckWanted::None)
        );
        if !is_refused {
            let text = format!("a message of the type `{}` is refused", kind.value);
            let help = "write `TEXT` or `IMAGE`, or `ack: Invalid message format`";
            self.report(self.problem(kind, text).with_help(help));
        }
        false
    }
}

/// Whether a message can say this.
fn is_content(text: &str) -> bool {
    (1..=CONTENT_UNITS_MAX).contains(&text.encode_utf16().count()) && !text.contains('\0')
}

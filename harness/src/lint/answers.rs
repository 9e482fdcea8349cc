//! Whether an event can be answered as wanted: what acks there are, and whether anybody is there who answers.

use super::Linter;
use crate::{
    contract::{MESSAGE_ERRORS, ROOM_ERRORS},
    scenario::{AckWanted, Generator, Place, Send, Spanned},
};

/// What says that a payload is none.
pub(super) const INVALID: &str = "Invalid message format";

/// What a message has to have at the least.
const FIELDS: [&str; 3] = ["clientMsgId", "content", "roomId"];

/// Packets with which a socket leaves the namespace: of Socket.IO and of Engine.IO.
pub(super) const GOODBYES: [&str; 2] = ["41", "1"];

impl Linter<'_> {
    /// Whether there is such an ack; a problem if not.
    pub(super) fn ack(&mut self, event: &str, ack: Option<&Spanned<AckWanted>>) {
        let Some(ack) = ack else { return };
        let is_message = event == "sendMessage";
        let errors: &[&str] = if is_message { &MESSAGE_ERRORS } else { &ROOM_ERRORS };
        let word = match &ack.value {
            AckWanted::None | AckWanted::Any => return,
            AckWanted::Accepted if is_message => return,
            AckWanted::Success if !is_message => return,
            AckWanted::Truncated if event == "joinRoom" => return,
            AckWanted::Error(error) if errors.contains(&error.as_str()) => return,
            AckWanted::Error(error) => error.as_str(),
            AckWanted::Accepted => "ACCEPTED",
            AckWanted::Success => "success",
            AckWanted::Truncated => "truncated",
        };
        let problem = self.problem(ack, format!("`{event}` is never answered `{word}`"));
        let good = if is_message { "ACCEPTED" } else { "success" };
        let known = errors.iter().copied().chain([good, "any", "none"]);
        let mut problem = problem.with_known(word, known.clone());
        if problem.help.is_none() {
            let all: Vec<&str> = known.collect();
            problem = problem.with_help(format!("it is answered `{}`", all.join("`, `")));
        }
        self.report(problem);
    }

    /// What is named here is a room by its right id, whoever is in it; what a reply has told may be anything.
    pub(super) fn names_a_room(
        &mut self,
        room: &Spanned<String>,
        ack: Option<&Spanned<AckWanted>>,
    ) {
        if let Some(ack) = ack.filter(|_| !self.known.captured.contains(&room.value))
            && ack.value == AckWanted::Error("Invalid room".to_owned())
        {
            let problem = self.problem(ack, "what `room` names is never an invalid room");
            self.report(problem.with_help("write `payload: { roomId: not-an-id }` instead"));
        }
    }

    /// A device wants an ack, unless the step says that it wants none.
    pub(super) fn asks(&mut self, device: &str, ack: Option<&Spanned<AckWanted>>) {
        if ack.is_none_or(|ack| ack.value != AckWanted::None) {
            self.known.asked.insert(device.to_owned());
        }
    }

    /// Whether the device's gateway hears it and answers by then; a problem if an answer is wanted.
    pub(super) fn must_be_answered(
        &mut self,
        device: &str,
        ack: Option<&Spanned<AckWanted>>,
        place: Place,
    ) {
        if ack.is_some_and(|ack| matches!(ack.value, AckWanted::None | AckWanted::Any)) {
            return;
        }
        if self.known.dismissed.contains(device) {
            let text = format!("`{device}` has said goodbye by then: nobody answers it");
            let help = format!("put `- disconnect: {device}` and `- connect: {device}` before");
            self.report(self.problem(place, text).with_help(help));
        }
        let gateway = self.gateway_of(device).map(str::to_owned);
        if let Some(gateway) = gateway.filter(|gateway| self.sleeps(gateway)) {
            let text = format!("`{gateway}` is frozen by then: it does not answer `{device}`");
            let help = format!("put `- thaw: {gateway}` before, or write `ack: none`");
            self.report(self.problem(place, text).with_help(help));
        }
    }

    /// Whether it is frozen, and no block beside this one may thaw it.
    pub(super) fn sleeps(&self, process: &str) -> bool {
        self.known.frozen.contains(process) && !self.is_mended_beside(process)
    }

    /// Whether a payload can be answered so; a problem if not.
    pub(super) fn payload_of_message(&mut self, payload: &Spanned<serde_json::Value>, send: &Send) {
        let Some(ack) = &send.ack else { return };
        // What a reply has told may be no room, and where there is none a payload names none.
        let is_room = match &send.room {
            Some(room) => !self.known.captured.contains(&room.value),
            None => self.has_rooms(),
        };
        let made_up = payload.value.as_str().and_then(Generator::named);
        let lacks = FIELDS.into_iter().find(|field| payload.value[*field].is_null());
        let refused = format!("write `ack: {INVALID}`");
        let (text, help) = match (&ack.value, made_up, lacks) {
            (AckWanted::Error(error), Some(Generator::Payload), _)
                if error == INVALID && is_room =>
            {
                let text = format!("what `any payload` makes is never answered `{INVALID}`");
                (text, "write `{{ any malformed payload }}`".to_owned())
            }
            (AckWanted::Accepted, Some(Generator::MalformedPayload), _) => {
                ("a malformed payload is refused".to_owned(), refused)
            }
            (AckWanted::Accepted, None, Some(field)) => {
                (format!("a payload without `{field}` is refused"), refused)
            }
            _ => return,
        };
        self.report(self.problem(ack, text).with_help(help));
    }
}

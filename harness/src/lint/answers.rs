//! Whether an event can be answered as wanted: what acks there are, and whether anybody is there who answers.

use super::Linter;
use crate::{
    contract::{MESSAGE_ERRORS, ROOM_ERRORS},
    scenario::{AckWanted, Generator, Place, Request, Spanned},
};

/// What says that a payload is none.
const INVALID: &str = "Invalid message format";

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

    /// Whether the gateway that a request names runs by then; a problem if not.
    pub(super) fn must_reply(&mut self, request: &Request) {
        let Some(to) = &request.to else { return };
        if self.known.stopped.contains(&to.value) && self.blocks == 0 {
            let problem = self.problem(to, format!("`{}` is stopped by then", to.value));
            self.report(problem.with_help(format!("put `- start: {}` before this step", to.value)));
        } else if self.sleeps(&to.value) {
            let problem = self.problem(to, format!("`{}` is frozen by then", to.value));
            self.report(problem.with_help(format!("put `- thaw: {}` before this step", to.value)));
        }
    }

    /// Whether it is frozen, and no block beside this one may thaw it.
    pub(super) fn sleeps(&self, process: &str) -> bool {
        self.blocks == 0 && self.known.frozen.contains(process)
    }

    /// Whether a payload can be answered so; a problem if not.
    pub(super) fn payload_of_message(
        &mut self,
        payload: &Spanned<serde_json::Value>,
        ack: Option<&Spanned<AckWanted>>,
    ) {
        let Some(ack) = ack else { return };
        let made_up = payload.value.as_str().and_then(Generator::named);
        let lacks = FIELDS.into_iter().find(|field| payload.value[*field].is_null());
        let text = match (&ack.value, made_up, lacks) {
            (AckWanted::Error(error), Some(Generator::Payload), _) if error == INVALID => {
                format!("what `any payload` makes is never answered `{INVALID}`")
            }
            (AckWanted::Accepted, Some(Generator::MalformedPayload), _) => {
                "a malformed payload is refused".to_owned()
            }
            (AckWanted::Accepted, None, Some(field)) => {
                format!("a payload without `{field}` is refused")
            }
            _ => return,
        };
        let help = match ack.value {
            AckWanted::Accepted => format!("write `ack: {INVALID}`"),
            _ => "write `{{ any malformed payload }}`".to_owned(),
        };
        self.report(self.problem(ack, text).with_help(help));
    }
}

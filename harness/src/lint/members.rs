//! Who is a member of a room, as far as the file alone says: what no step changes.

use super::Linter;
use crate::scenario::{AckWanted, Place, Spanned, Step};

/// The contract's answer to who is no member.
const NO_MEMBER: &str = "Not a member of this room";

impl Linter<'_> {
    /// Whether `event` of this device can be answered so in that room; a problem if not.
    pub(super) fn member(
        &mut self,
        event: &str,
        device: &str,
        room: &str,
        ack: Option<&Spanned<AckWanted>>,
        place: Place,
    ) {
        let Some((actor, _)) = device.split_once('.') else { return };
        let wants = match ack.map(|ack| &ack.value) {
            None | Some(AckWanted::Accepted | AckWanted::Success | AckWanted::Truncated) => true,
            Some(AckWanted::Error(error)) if error == NO_MEMBER => false,
            Some(AckWanted::Error(_) | AckWanted::None | AckWanted::Any) => return,
        };
        // Nobody leaves what they are not in, and that is answered `success`.
        if event == "leaveRoom" {
            return;
        }
        let Some(is_member) = self.is_member_throughout(actor, room) else { return };
        if wants && !is_member {
            let text = format!("`{actor}` is no member of `{room}`: `{event}` is refused");
            let help = format!(
                "put `{actor}` beside the others of `{room}` below `rooms`, or write `ack: {NO_MEMBER}`"
            );
            self.report(self.problem(place, text).with_help(help));
        } else if !wants && is_member {
            let text = format!("`{actor}` is a member of `{room}`: `{event}` is not refused");
            let help = format!("name the members of `{room}` below `rooms`, without `{actor}`");
            self.report(self.problem(place, text).with_help(help));
        }
    }

    /// `None`: a step may change it, or a room of that name is made on the way.
    pub(super) fn is_member_throughout(&self, actor: &str, room: &str) -> Option<bool> {
        let scenario = self.scenario;
        let is_member = match scenario.rooms.get(room) {
            Some(members) => members.value.iter().any(|member| member.value == actor),
            None if scenario.rooms.is_empty() => true,
            None => return None,
        };
        let may_change = changes(&scenario.steps, &|named| {
            named == Some(room) || !named.is_some_and(|named| scenario.rooms.contains_key(named))
        });
        (!may_change && !self.known.captured.contains(room)).then_some(is_member)
    }
}

/// Whether a step asks for a change over HTTP in a room that may be meant, by its name if it has one, or writes a record of
/// one.
fn changes(steps: &[Spanned<Step>], is_meant: &dyn Fn(Option<&str>) -> bool) -> bool {
    steps.iter().any(|step| {
        let is_change = if let Step::Request(request) = &step.value {
            let call = &request.call.value;
            call.starts_with("POST /rooms/") && is_meant(step.value.room().map(str::trim))
        } else {
            matches!(step.value, Step::Publish(_))
        };
        is_change || step.value.blocks().into_iter().any(|block| changes(block, is_meant))
    })
}

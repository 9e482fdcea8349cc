//! Order: what was accepted or heard before another message of its room was sent comes before that one.

use super::Linter;
use crate::scenario::Spanned;

/// Where a message stands among all sends of the file, as far as that is sure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Nobody can have heard it before this send.
    after: Option<usize>,
    /// It had its place by the end of this send.
    by: Option<usize>,
    /// A topic has a record of each time that it was sent.
    pub(super) is_retried: bool,
}

impl Order {
    /// What is sure of a message after two blocks that ran side by side.
    pub(super) fn beside(self, other: Self) -> Self {
        Self {
            after: self.after.filter(|_| self.after == other.after),
            by: self.by.filter(|_| self.by == other.by),
            is_retried: self.is_retried || other.is_retried,
        }
    }
}

impl Linter<'_> {
    /// The order of what is sent now, for the first time or again. Blocks go side by side, and rounds one after the other.
    pub(super) fn order_of(&mut self, before: Order, is_first: bool, is_accepted: bool) -> Order {
        self.sends += 1;
        let now = Some(self.sends);
        let is_sure = self.blocks == 0 && !self.is_again;
        match (is_first, is_sure) {
            (true, true) => Order { after: now, by: now.filter(|_| is_accepted), ..before },
            (false, true) => Order { by: before.by.or(now.filter(|_| is_accepted)), ..before },
            (true, false) => Order { is_retried: before.is_retried, ..Order::default() },
            (false, false) => before,
        }
    }

    /// A message was heard, so that whatever is sent from here on comes after it.
    pub(super) fn has_its_place(&mut self, name: &str) {
        if self.blocks > 0 || self.is_again {
            return;
        }
        if let Some(message) = self.known.messages.get_mut(name)
            && message.order.after.is_some()
        {
            message.order.by = message.order.by.or(Some(self.sends));
        }
    }

    /// Whether these messages can stand one after the other; `in_topic`: as the records of a topic.
    pub(super) fn as_sent(&mut self, names: &[Spanned<String>], in_topic: bool) {
        for (index, second) in names.iter().enumerate() {
            let Some(message) = self.known.messages.get(&second.value) else { continue };
            // Of two messages with one id nobody can tell which one is meant.
            let is_shared = |it: &Spanned<String>| self.known.shared.contains(&it.value);
            let comes_first = |it: &&Spanned<String>| {
                self.known.messages.get(&it.value).is_some_and(|other| {
                    let is_one_room = other.room.is_some() && other.room == message.room;
                    // What was killed before it had committed may publish again.
                    let is_again = in_topic
                        && (other.order.is_retried
                            || message.order.is_retried
                            || self.known.has_faults);
                    let is_before = message
                        .order
                        .by
                        .zip(other.order.after)
                        .is_some_and(|(by, after)| by < after);
                    is_one_room && is_before && !is_again && !is_shared(it) && !is_shared(second)
                })
            };
            if let Some(first) = names[..index].iter().find(comes_first) {
                let text = format!(
                    "`{}` is there before `{}` is sent: they come in this order",
                    second.value, first.value
                );
                self.report(self.problem(second, text));
            }
        }
    }
}

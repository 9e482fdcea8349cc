//! What cannot go on while something does not run: nobody hears what no worker stores, or what a frozen gateway has to pass on.

use std::collections::BTreeSet;

use super::{Linter, known::Known, people::numbered};
use crate::scenario::{Backends, Place, Problem, Spanned};

impl Known {
    /// It runs again, and goes on with what has waited for it.
    pub(super) fn runs(&mut self, what: &str) {
        self.stopped.remove(what);
        self.frozen.remove(what);
        for message in self.messages.values_mut() {
            message.held_by.remove(what);
        }
    }
}

impl Linter<'_> {
    /// What does not run by then, and no block beside this one may mend.
    pub(super) fn down(&self) -> BTreeSet<String> {
        let Known { stopped, frozen, .. } = &self.known;
        stopped.union(frozen).filter(|what| !self.is_mended_beside(what)).cloned().collect()
    }

    /// Whether a message can have reached the database by then; a problem if not.
    pub(super) fn can_be_stored(&mut self, name: &Spanned<String>) {
        let Some(why) = self.why_not_stored(&name.value) else { return };
        self.report(self.held(&name.value, &why, name.into()));
    }

    /// Whether a message can have reached this device by then; a problem if not.
    pub(super) fn can_be_heard(&mut self, name: &str, device: &str, place: Place) {
        let gateway = self.gateway_of(device).filter(|it| self.holds(it, name)).map(str::to_owned);
        let stack = &self.scenario.stack;
        let is_written = self.known.messages.get(name).is_some_and(|it| it.is_written);
        if stack.workers.value == 0 && stack.backends == Backends::Real && !is_written {
            let text =
                format!("the stack has no worker: nobody stores `{name}`, and nobody hears it");
            self.report(self.problem(place, text).with_help("write `stack: { workers: 1 }`"));
        }
        let Some(why) = self.why_not_stored(name).or(gateway) else { return };
        self.report(self.held(name, &why, place));
    }

    fn held(&self, name: &str, what: &str, place: Place) -> Problem {
        let is_stopped = self.known.stopped.contains(what);
        let (state, verb) = if is_stopped { ("stopped", "start") } else { ("frozen", "thaw") };
        let text =
            format!("`{what}` is {state} since before `{name}` was sent: it goes no further");
        self.problem(place, text).with_help(format!("put `- {verb}: {what}` before this step"))
    }

    /// The process that a message waits for on its way into the database.
    fn why_not_stored(&self, name: &str) -> Option<String> {
        let stack = &self.scenario.stack;
        if stack.backends == Backends::Embedded {
            return None;
        }
        let workers = numbered("worker", stack.workers.value);
        let servers = ["kafka", "postgres"].into_iter().find(|it| self.holds(it, name));
        servers.map(str::to_owned).or_else(|| {
            workers.first().filter(|_| workers.iter().all(|it| self.holds(it, name))).cloned()
        })
    }

    /// Whether it has not run since before this message was sent, and no block beside this one may mend it.
    fn holds(&self, what: &str, name: &str) -> bool {
        let message = self.known.messages.get(name);
        message.is_some_and(|message| message.held_by.contains(what))
            && !self.is_mended_beside(what)
    }
}

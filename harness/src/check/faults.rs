//! What was broken on purpose, and from when until when. What it excuses is for each invariant to say.

use std::time::Duration;

use crate::history::{History, What};

/// A device, its network or a process that was broken.
#[derive(Debug)]
pub(super) struct Fault<'h> {
    /// `gw1`, `kafka`, `alice.phone`.
    pub(super) what: &'h str,
    pub(super) from: Duration,
    /// When it worked again; `None`: it never did.
    pub(super) until: Option<Duration>,
}

impl<'h> Fault<'h> {
    /// All of a run, in the order in which they began.
    pub(super) fn all(history: &'h History) -> Vec<Self> {
        let mut faults: Vec<Self> = Vec::new();
        for entry in history.entries() {
            if let What::Broken { what, .. } = &entry.what {
                faults.push(Self { what, from: entry.at, until: None });
            } else if let What::Mended { what, .. } = &entry.what {
                for fault in faults.iter_mut().filter(|fault| fault.what == what) {
                    fault.until.get_or_insert(entry.at);
                }
            }
        }
        faults
    }

    /// Whether it lasted at some moment of this span, or had ended less than `after` before.
    pub(super) fn touches(&self, from: Duration, to: Duration, after: Duration) -> bool {
        self.from <= to && self.until.is_none_or(|until| from <= until + after)
    }

    /// Whether it was over when a connection began that was opened at this time.
    pub(super) fn was_over(&self, opened: Duration) -> bool {
        self.until.is_some_and(|until| until < opened)
    }
}

/// Whether the answer to a CONNECT may have been lost, with a network or a gateway, so that nobody knows whose a socket is.
pub(super) fn may_hide_a_welcome(faults: &[Fault<'_>]) -> bool {
    faults.iter().any(|fault| fault.what.contains('.') || fault.what.starts_with("gw"))
}

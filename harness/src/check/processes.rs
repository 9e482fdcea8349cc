//! Gateways and workers run until somebody ends them.

use super::Finding;
use crate::history::{History, What};

pub(super) fn keeps_running(history: &History, findings: &mut Vec<Finding>) {
    for entry in history.entries() {
        if let What::Died { what, text } = &entry.what {
            let text = format!("{what} {text}");
            findings.push(Finding { invariant: "keeps-running", at: entry.at, text });
        }
    }
}

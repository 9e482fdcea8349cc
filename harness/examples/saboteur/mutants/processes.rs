//! Processes that end when nobody asked them to, or badly when somebody did.

use super::{
    Fault::{Event, Exit},
    Mutant,
};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "dies-of-its-third-message",
        faults: &[Event(|gate, _, event| {
            if event.name == "sendMessage" && gate.next() == 3 {
                // As after a panic.
                std::process::exit(101);
            }
            vec![event.up()]
        })],
    },
    Mutant { name: "ends-with-an-error-when-it-is-asked-to", faults: &[Exit(1)] },
];

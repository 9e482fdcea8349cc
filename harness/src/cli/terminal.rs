//! The only place that writes to the terminal: results to stdout, everything else to stderr. Colours are left out where
//! they would not be shown.

use std::io::{self, IsTerminal as _, Write as _};

/// A line of the result.
pub(super) fn say(line: &str) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{line}")
}

/// A line for the person who waits. If nobody can read it there is nobody to tell.
pub(super) fn note(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Whether somebody watches.
pub(super) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

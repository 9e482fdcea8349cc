//! The only place that writes to the terminal: results to stdout, everything else to stderr.

use std::io::{self, Write as _};

/// A line of the result.
pub(super) fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// A line for the person who waits. If nobody can read it there is nobody to tell.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

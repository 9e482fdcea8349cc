//! Shows runs: to people on a terminal, to CI, to programs, and in a browser. Reads verdicts, never runs anything.

mod explain;
mod packet;
mod sequence;
mod terminal;

pub use explain::explain;
pub use sequence::sequence;
pub use terminal::{differences, headline, in_full, summary};

/// A report without the codes that colour it.
pub fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

//! Shows runs: to people on a terminal, to CI, to programs, and in a browser. Reads verdicts, never runs anything.

mod explain;
mod packet;
mod sequence;
mod terminal;
mod json;
mod junit;

pub use explain::explain;
pub use json::json_lines;
pub use junit::junit;
pub use sequence::sequence;
pub use terminal::{headline, in_full, summary};

/// A report without the codes that colour it.
pub fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

//! Shows runs: to people on a terminal, to CI, to programs, and in a browser. Reads verdicts, never runs anything.

mod explain;
mod packet;
mod sequence;
mod found;
mod terminal;
mod json;
mod junit;
mod html;

use std::{fs, io, path::Path};

use crate::verdict::Run;

pub use explain::explain;
pub use html::html;
pub use json::json_lines;
pub use junit::junit;
pub use sequence::sequence;
pub use terminal::{differences, flaky, headline, in_full, summary};

/// The page, by its name in the folder of reports.
pub const PAGE: &str = "report.html";

/// A report without the codes that colour it.
pub fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Writes `report.html`, `junit.xml` and `runs.jsonl` into a folder, over those of an earlier invocation.
pub fn write_all(runs: &[Run], directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("runs.jsonl"), json_lines(runs)?)?;
    fs::write(directory.join("junit.xml"), junit(runs))?;
    fs::write(directory.join(PAGE), html(runs, directory)?)
}

//! The table of a coverage.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{Coverage, Line, Section};
use crate::plural::counted;

const BOLD: Style = Style::new().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();

/// Widest name that others are aligned with, in characters.
const NAME_CHARS_MAX: usize = 40;

pub(super) fn table(coverage: &Coverage) -> String {
    let mut text = String::new();
    for section in coverage.sections.iter().filter(|section| !section.lines.is_empty()) {
        one(&mut text, section);
    }
    let gaps: usize = coverage.sections.iter().map(|section| section.gaps().count()).sum();
    let (all, gaps) = (counted(coverage.scenarios, "scenario"), counted(gaps, "gap"));
    write(&mut text, format_args!("{all}, {gaps}\n"));
    text
}

fn one(text: &mut String, section: &Section) {
    let all = section.lines.len();
    let touched = all - section.gaps().count();
    write(text, format_args!("{BOLD}{}{BOLD:#}: {touched} of {all}\n", section.name));
    let width =
        section.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or_default();
    let width = width.min(NAME_CHARS_MAX);
    for Line { name, times, scenarios } in section.lines.iter().filter(|line| line.times > 0) {
        let (times, scenarios) = (counted(*times, "time"), counted(*scenarios, "scenario"));
        write(text, format_args!("  {name:width$}  {times:>9}  in {scenarios}\n"));
    }
    for Line { name, .. } in section.gaps() {
        write(text, format_args!("  {YELLOW}{name:width$}      never{YELLOW:#}\n"));
    }
    text.push('\n');
}

fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes everything");
}

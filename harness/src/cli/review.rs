//! `harness review`: shows the snapshots that wait, and takes or drops each.

use std::{
    io::{self, BufRead, IsTerminal as _},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Args;

use super::{
    FIXTURES, SUCCESS, UNREVIEWED,
    terminal::{note, say},
};
use crate::snapshot::{Pending, difference, pending};

const AFTER_HELP: &str = "\
A run that passes leaves `.snap.new` files in `snapshots/` beside its scenario where it differs from what was accepted.
Accepted ones are committed; `cargo insta` reads them too.

Exit codes: 0 nothing waits any more, 4 what is named is not there, 6 something still does.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Review {
    /// Folders with snapshots in them, or `.snap.new` files.
    #[arg(default_value = FIXTURES)]
    paths: Vec<PathBuf>,
    /// Accept all of them without asking.
    #[arg(long, conflicts_with = "reject")]
    accept: bool,
    /// Reject all of them without asking.
    #[arg(long)]
    reject: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Accept,
    Reject,
    Skip,
}

impl Review {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let waiting = match pending(&self.paths) {
            Ok(waiting) => waiting,
            Err(error) => return super::unreadable(error),
        };
        if waiting.is_empty() {
            note("no snapshot waits for a review");
            return Ok(SUCCESS);
        }
        let mut counts = [0; 3];
        let is_asked = io::stdin().is_terminal();
        for (number, one) in waiting.iter().enumerate() {
            say(&format!("[{}/{}] {}", number + 1, waiting.len(), difference(&one.change)))?;
            let answer = match (self.accept, self.reject) {
                (true, _) => Answer::Accept,
                (_, true) => Answer::Reject,
                _ if is_asked => ask(&mut io::stdin().lock())?,
                _ => Answer::Skip,
            };
            counts[answer as usize] += 1;
            settle(one, answer)
                .with_context(|| format!("reviewing `{}`", one.change.path.display()))?;
        }
        let [accepted, rejected, skipped] = counts;
        note(&format!("{accepted} accepted, {rejected} rejected, {skipped} still waiting"));
        if skipped > 0 && !is_asked {
            note("answer in a terminal, or give `--accept` or `--reject`");
        }
        Ok(if skipped == 0 { SUCCESS } else { UNREVIEWED })
    }
}

fn settle(one: &Pending, answer: Answer) -> io::Result<()> {
    match answer {
        Answer::Accept => one.accept(),
        Answer::Reject => one.reject(),
        Answer::Skip => Ok(()),
    }
}

/// Asks until the answer is one. The end of the input skips.
fn ask(input: &mut impl BufRead) -> io::Result<Answer> {
    loop {
        note("  a accept, r reject, s skip (then Enter):");
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(Answer::Skip);
        }
        match line.trim().to_lowercase().as_str() {
            "a" | "accept" => return Ok(Answer::Accept),
            "r" | "reject" => return Ok(Answer::Reject),
            "s" | "skip" => return Ok(Answer::Skip),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_answer_is_asked_again() {
        let check =
            |text: &str, answer| assert_eq!(ask(&mut text.as_bytes()).unwrap(), answer, "{text}");
        check("a\n", Answer::Accept);
        check("what?\n\n R \n", Answer::Reject);
        check("s", Answer::Skip);
        check("", Answer::Skip);
    }
}

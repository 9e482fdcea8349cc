//! What can be seen while scenarios run: on a terminal a live line for each and the count of all, elsewhere plain lines.

use std::{cell::RefCell, collections::BTreeMap, io, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::terminal::{is_terminal, note, say};

/// How often a live line moves.
const TICK: Duration = Duration::from_millis(100);

/// The live lines of one run.
pub(super) struct Progress {
    lines: MultiProgress,
    total: ProgressBar,
    running: RefCell<BTreeMap<usize, (ProgressBar, String)>>,
}

impl Progress {
    pub(super) fn new(count: usize) -> Self {
        let lines = MultiProgress::new();
        let total = lines.add(ProgressBar::new(count as u64));
        total.set_style(style("{bar:30} {pos}/{len}  {elapsed}"));
        Self { lines, total, running: RefCell::default() }
    }

    pub(super) fn began(&self, number: usize, file: &str) {
        let line = self.lines.insert_before(&self.total, ProgressBar::new_spinner());
        line.set_style(style("{spinner} {wide_msg}"));
        line.set_message(file.to_owned());
        if is_terminal() {
            line.enable_steady_tick(TICK);
        }
        self.running.borrow_mut().insert(number, (line, file.to_owned()));
    }

    pub(super) fn step(&self, number: usize, text: &str) {
        if let Some((line, file)) = self.running.borrow().get(&number) {
            line.set_message(format!("{file}  {text}"));
        }
    }

    /// `headline` stays above the live lines.
    pub(super) fn done(&self, number: usize, headline: &str) {
        if let Some((line, _)) = self.running.borrow_mut().remove(&number) {
            line.finish_and_clear();
            self.lines.remove(&line);
        }
        self.total.inc(1);
        let said = self.lines.suspend(|| say(headline));
        // Whoever has seen enough is told so once, at the end.
        if let Err(error) = said.map_err(|error| (error.kind(), error))
            && error.0 != io::ErrorKind::BrokenPipe
        {
            note(&format!("printing: {}", error.1));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.total.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are right")
}

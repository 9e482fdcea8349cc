//! The files of snapshots, in the format of `insta`, so that `cargo insta` reads them too: `.snap` what was accepted,
//! `.snap.new` what waits for a review.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};

use super::Taken;
use crate::files::files;

const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();

/// Lines around a change that are shown.
const CONTEXT_LINES: usize = 3;

/// A snapshot that is not the accepted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub path: PathBuf,
    /// What was accepted; `None`: there was none.
    pub old: Option<String>,
    pub new: String,
}

/// A snapshot that waits for a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub change: Change,
    file: PathBuf,
}

/// Compares with what was accepted. A change is written as pending if `is_written`; what waits although nothing has changed
/// any more is removed.
pub fn compare(taken: &Taken, is_written: bool) -> io::Result<Option<Change>> {
    let Taken { path, subject, source, text } = taken;
    let old = match fs::read_to_string(path) {
        Ok(file) => Some(contents(&file).to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let waiting = pending_file(path);
    if old.as_deref() == Some(text.trim_end()) {
        if is_written && waiting.exists() {
            fs::remove_file(waiting)?;
        }
        return Ok(None);
    }
    if is_written {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let source = portable(source);
        let head = format!("---\nsource: {source}\nexpression: {subject}\n---\n");
        fs::write(waiting, format!("{head}{}\n", text.trim_end()))?;
    }
    Ok(Some(Change { path: path.clone(), old, new: text.trim_end().to_owned() }))
}

/// What waits below these folders.
pub fn pending(paths: &[PathBuf]) -> io::Result<Vec<Pending>> {
    let mut all = Vec::new();
    for file in files(paths, &[".snap.new"])? {
        let path = file.with_extension("");
        let new = contents(&fs::read_to_string(&file)?).to_owned();
        // One that cannot be read is as good as none: it is replaced.
        let old = fs::read_to_string(&path).ok().map(|text| contents(&text).to_owned());
        all.push(Pending { change: Change { path, old, new }, file });
    }
    Ok(all)
}

impl Pending {
    /// From here on this is what a run must look like.
    pub fn accept(&self) -> io::Result<()> {
        fs::rename(&self.file, &self.change.path)
    }

    /// What was accepted before stays so.
    pub fn reject(&self) -> io::Result<()> {
        fs::remove_file(&self.file)
    }
}

/// A change for people: its file, then the lines that came and went, with some around them.
pub fn difference(change: &Change) -> String {
    let Change { path, old, new } = change;
    let kind = if old.is_some() { "changed" } else { "new" };
    let mut text = format!("{kind}: {}\n", path.display());
    let diff = TextDiff::from_lines(old.as_deref().unwrap_or_default(), new);
    for (number, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if number > 0 {
            line(&mut text, DIM, " ", "…");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (style, mark) = match change.tag() {
                ChangeTag::Delete => (RED, "-"),
                ChangeTag::Insert => (GREEN, "+"),
                ChangeTag::Equal => (DIM, " "),
            };
            line(&mut text, style, mark, change.value().trim_end_matches('\n'));
        }
    }
    text
}

fn line(text: &mut String, style: Style, mark: &str, said: &str) {
    writeln!(text, "  {style}{mark} {said}{style:#}").expect("a string takes everything");
}

fn pending_file(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

/// What stands below the head.
fn contents(file: &str) -> &str {
    let body = file.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    body.map_or(file, |(_, body)| body).trim_end()
}

/// The scenario's file without what only this machine knows.
fn portable(source: &str) -> &str {
    let path = Path::new(source);
    if path.is_relative() {
        return source;
    }
    path.file_name().and_then(|name| name.to_str()).unwrap_or(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(folder: &Path, text: &str) -> Taken {
        Taken {
            path: folder.join("snapshots/hello@alice.phone.snap"),
            subject: "alice.phone".to_owned(),
            source: "hello.yaml".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_new_one_waits_until_it_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let first = taken(folder.path(), "→ hello\n---\n← hi\n");
        let change = compare(&first, true).unwrap().unwrap();
        assert_eq!((change.old, change.new.as_str()), (None, "→ hello\n---\n← hi"));
        let waiting = pending(&[folder.path().to_owned()]).unwrap();
        assert_eq!(waiting.len(), 1);
        waiting[0].accept().unwrap();
        assert_eq!(compare(&first, true).unwrap(), None);
        assert_eq!(pending(&[folder.path().to_owned()]).unwrap(), []);
    }

    #[test]
    fn a_rejected_one_leaves_what_was_accepted() {
        let folder = tempfile::tempdir().unwrap();
        compare(&taken(folder.path(), "a\n"), true).unwrap();
        pending(&[folder.path().to_owned()]).unwrap()[0].accept().unwrap();
        let change = compare(&taken(folder.path(), "b\n"), true).unwrap().unwrap();
        let shown = anstream::adapter::strip_str(&difference(&change)).to_string();
        assert!(shown.ends_with("snap\n  - a\n  + b\n"), "{shown}");
        pending(&[folder.path().to_owned()]).unwrap()[0].reject().unwrap();
        assert_eq!(compare(&taken(folder.path(), "a\n"), true).unwrap(), None);
    }

    #[test]
    fn where_nothing_is_written_a_change_is_seen_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        assert!(compare(&taken(folder.path(), "a"), false).unwrap().is_some());
        assert_eq!(pending(&[folder.path().to_owned()]).unwrap(), []);
    }

    #[test]
    fn what_waits_in_vain_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        compare(&taken(folder.path(), "a"), true).unwrap();
        pending(&[folder.path().to_owned()]).unwrap()[0].accept().unwrap();
        compare(&taken(folder.path(), "b"), true).unwrap();
        compare(&taken(folder.path(), "a"), true).unwrap();
        assert_eq!(pending(&[folder.path().to_owned()]).unwrap(), []);
    }

    /// `insta` panics unless the file says what it is asked to compare with.
    #[test]
    fn insta_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        compare(&taken(folder.path(), "→ connect\n← connected\n"), true).unwrap();
        pending(&[folder.path().to_owned()]).unwrap()[0].accept().unwrap();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(folder.path().join("snapshots"));
        settings.set_prepend_module_to_snapshot(false);
        settings.bind(|| insta::assert_snapshot!("hello@alice.phone", "→ connect\n← connected"));
    }
}

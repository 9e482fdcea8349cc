//! Files below folders, by the end of their names. Reads no file, and follows the order of their names.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The files that are named, and those below the folders that are named whose names end like this.
pub fn files(paths: &[PathBuf], end: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        collect(path, end, &mut found).map_err(|error| {
            io::Error::new(error.kind(), format!("reading `{}`: {error}", path.display()))
        })?;
    }
    Ok(found)
}

fn collect(path: &Path, end: &str, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        path.metadata()?;
        found.push(path.to_owned());
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in path.read_dir()? {
        entries.push(entry?.path());
    }
    entries.sort();
    for entry in entries {
        let has_end = entry.file_name().is_some_and(|name| name.to_string_lossy().ends_with(end));
        if entry.is_dir() || (has_end && entry.is_file()) {
            collect(&entry, end, found)?;
        }
    }
    Ok(())
}

//! Files below folders, by the end of their names. Reads no file, and follows the order of their names.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// How the names of scenarios end, in any letter case.
pub const SCENARIO_ENDS: &[&str] = &[".yaml", ".yml"];

/// The files that are named, and those below the folders that are named whose names end like one of these, in any letter case;
/// each once, however often it is meant.
pub fn files(paths: &[PathBuf], ends: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        collect(path, ends, &mut found)?;
    }
    let mut known = BTreeSet::new();
    // What has no other name is known by its own.
    found.retain(|path| known.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    Ok(found)
}

fn collect(path: &Path, ends: &[&str], found: &mut Vec<PathBuf>) -> io::Result<()> {
    let failed = |error: io::Error| {
        io::Error::new(error.kind(), format!("reading `{}`: {error}", path.display()))
    };
    let about = path.metadata().map_err(failed)?;
    if !about.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in path.read_dir().map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let has_end = ends.iter().any(|end| name.ends_with(end));
        // A link to nothing is told of; what an editor hides while it works is none.
        let is_meant = has_end && !name.starts_with('.') && (entry.is_file() || !entry.exists());
        if entry.is_dir() || is_meant {
            collect(&entry, ends, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_found_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        std::fs::write(&file, "x").unwrap();
        let again = folder.path().join(".").join("a.yaml");
        let found = files(&[file.clone(), folder.path().to_owned(), again], SCENARIO_ENDS).unwrap();
        assert_eq!(found, [file]);
        std::os::unix::fs::symlink("nowhere", folder.path().join("b.yaml")).unwrap();
        let error = files(&[folder.path().to_owned()], SCENARIO_ENDS).unwrap_err();
        assert!(error.to_string().contains("b.yaml"), "{error}");
    }
}

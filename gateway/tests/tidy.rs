//! Checks what clippy cannot: which module may import which, file length, versions that are too old.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    path::{Path, PathBuf},
};

const FILE_LINES_MAX: usize = 400;

/// Older ones have holes that no advisory database tells of.
const VERSIONS_MIN: [(&str, [u64; 3]); 11] = [
    ("socketioxide", [0, 18, 9]),
    ("engineioxide", [0, 17, 9]),
    ("jsonwebtoken", [11, 0, 0]),
    ("rdkafka", [0, 39, 0]),
    ("redis", [1, 8, 0]),
    ("sqlx", [0, 9, 0]),
    ("axum", [0, 8, 9]),
    ("tokio", [1, 54, 0]),
    ("tracing-subscriber", [0, 3, 20]),
    ("insta", [1, 49, 0]),
    ("proptest", [1, 12, 0]),
];

#[test]
fn modules_only_import_modules_listed_above_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for folder in ["gateway/src", "harness/src"] {
        imports_go_up(&root.join(folder));
    }
}

fn imports_go_up(src: &Path) {
    let lib = fs::read_to_string(src.join("lib.rs")).unwrap();
    let order: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "))
        .map(|name| name.trim_end_matches(';'))
        .collect();
    assert!(!order.is_empty(), "no modules found in lib.rs");

    for (rank, module) in order.iter().enumerate() {
        for file in files_of(src, module) {
            let text = fs::read_to_string(&file).unwrap();
            for imported in imports(&text) {
                let found = order.iter().position(|name| *name == imported);
                assert!(
                    found.is_some_and(|found| found <= rank),
                    "{}: `{module}` must not import `{imported}`",
                    file.display(),
                );
            }
        }
    }
}

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for folder in
        ["gateway/src", "gateway/tests", "harness/src", "harness/tests", "harness/examples"]
    {
        for file in rust_files(&root.join(folder)) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= FILE_LINES_MAX, "{}: {lines} lines", file.display());
        }
    }
}

#[test]
fn only_the_socket_module_knows_socketioxide() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&src) {
        let is_edge = file.starts_with(src.join("socket"));
        let text = fs::read_to_string(&file).unwrap();
        assert!(is_edge || !text.contains("socketioxide::"), "{}", file.display());
    }
}

#[test]
fn dependencies_are_at_least_as_new_as_their_last_known_hole() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    for (name, least) in VERSIONS_MIN {
        let marker = format!("name = \"{name}\"\nversion = \"");
        let mut is_found = false;
        for (at, _) in lock.match_indices(&marker) {
            is_found = true;
            let version = lock[at + marker.len()..].split('"').next().unwrap();
            let numbers: Vec<u64> =
                version.split(['.', '-', '+']).take(3).map(|n| n.parse().unwrap()).collect();
            assert!(numbers.as_slice() >= least.as_slice(), "{name} {version} is too old");
        }
        assert!(is_found, "{name} is not in Cargo.lock");
    }
}

fn files_of(src: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = rust_files(&src.join(module));
    files.push(src.join(module).with_extension("rs"));
    files.retain(|file| file.exists());
    files
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Names of top-level modules mentioned as `crate::name` or in `use crate::{name…}`.
fn imports(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            names.push(name);
        } else {
            names.push(rest.to_owned());
        }
    }
    names
        .iter()
        .map(|name| name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

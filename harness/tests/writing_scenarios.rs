//! Every example of `docs/writing-scenarios.md` does what the page says of it.

use std::{fs, path::Path, process::Command};

use clap::Parser as _;
use harness::cli::Cli;

/// An example of the page, with what is said to come of it.
struct Example {
    file: String,
    becomes: String,
    text: String,
    /// Lines that the output has, in this order.
    says: Vec<String>,
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/writing-scenarios.md");
    fs::read_to_string(path).expect("the page")
}

/// The fenced blocks of the page: what stands after the fence, and the lines.
fn blocks(page: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let body = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
        blocks.push((info.to_owned(), body));
    }
    blocks
}

fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for (info, body) in blocks(page) {
        if let Some(info) = info.strip_prefix("yaml ") {
            let (file, becomes) = info.split_once(' ').expect("a name and what becomes of it");
            examples.push(Example {
                file: file.to_owned(),
                becomes: becomes.to_owned(),
                text: body.join("\n") + "\n",
                says: Vec::new(),
            });
        } else if info == "text" {
            examples.last_mut().expect("an example before its output").says = body;
        }
    }
    examples
}

/// On one line, without the times, which differ.
fn words(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_time = |at: usize| {
        words[at].parse::<f64>().is_ok() && ["s", "ms"].contains(words.get(at + 1).unwrap_or(&""))
    };
    let kept = (0..words.len()).filter(|at| !(is_time(*at) || *at > 0 && is_time(at - 1)));
    kept.map(|at| words[at]).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_example_does_what_the_page_says() {
    let examples = examples(&page());
    assert!(examples.len() >= 8, "the page has examples");
    let directory = tempfile::tempdir().unwrap();
    for example in examples {
        fs::write(directory.path().join(&example.file), &example.text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(["run", &example.file, "--embedded", "--output", "out"])
            .current_dir(directory.path())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
        let wanted = match example.becomes.as_str() {
            "passes" => 0,
            "fails" => 1,
            "is wrong" => 2,
            "is unknown" => 7,
            other => panic!("{}: nothing {other}", example.file),
        };
        assert_eq!(output.status.code(), Some(wanted), "{}:\n{said}", example.file);
        let said = words(&said);
        let mut rest = said.as_str();
        for line in &example.says {
            let line = words(line);
            let at = rest
                .find(&line)
                .unwrap_or_else(|| panic!("{}: no `{line}` in {rest}", example.file));
            rest = &rest[at + line.len()..];
        }
    }
}

#[test]
fn every_command_of_the_page_exists() {
    let page = page();
    let mut commands = 0;
    for (info, body) in blocks(&page) {
        let lines = body.iter().filter(|_| info == "console");
        for line in lines.filter_map(|line| line.strip_prefix("$ harness ")) {
            let words = line.split_whitespace().map(|word| word.trim_matches('"'));
            let parsed = Cli::try_parse_from(std::iter::once("harness").chain(words));
            assert!(parsed.is_ok(), "`harness {line}`: {}", parsed.unwrap_err());
            commands += 1;
        }
    }
    assert!(commands >= 3, "the page has commands");
}

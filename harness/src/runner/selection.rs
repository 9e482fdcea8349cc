//! Which scenarios are meant: files, folders, tags, words.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use crate::{
    files::{SCENARIO_ENDS, files},
    lint::lint,
    scenario::{Problem, Scenario, load_shared, mistakes, parse},
};

/// Folder of steps that scenarios share: no scenarios themselves.
const SHARED: &str = "shared";

/// So much of a file is read, in bytes: more than a scenario may have, and an end of what has none.
const READ_BYTES_MAX: u64 = 4_000_000;

/// A scenario and where it stands.
#[derive(Clone, Debug)]
pub struct Fixture {
    pub file: String,
    pub source: String,
    pub scenario: Scenario,
}

/// Which of the scenarios in the files are meant; empty: all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// With one of these tags.
    pub tags: Vec<String>,
    /// With one of these texts in the name of the file or in the sentence, in any letter case.
    pub filters: Vec<String>,
}

impl Selection {
    /// Whether a file that is wrong may be meant: what it says cannot be read, but the words are in it or not.
    pub fn may_take(&self, broken: &Broken) -> bool {
        let Broken { file, source, .. } = broken;
        let has_tag =
            self.tags.is_empty() || self.tags.iter().any(|tag| source.contains(tag.as_str()));
        has_tag && self.has_text([file, source])
    }

    /// Whether a scenario is meant.
    pub fn takes(&self, fixture: &Fixture) -> bool {
        let Scenario { scenario, tags, .. } = &fixture.scenario;
        let has_tag = self.tags.is_empty() || tags.iter().any(|tag| self.tags.contains(&tag.value));
        has_tag && self.has_text([&fixture.file, &scenario.value])
    }

    fn has_text(&self, texts: [&str; 2]) -> bool {
        let texts = texts.map(str::to_lowercase);
        let is_there = |filter: &String| {
            let filter = filter.to_lowercase();
            texts.iter().any(|text| text.contains(&filter))
        };
        self.filters.is_empty() || self.filters.iter().any(is_there)
    }
}

/// What stands in files and folders.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many files were read.
    pub files: usize,
    /// Those that are right.
    pub fixtures: Vec<Fixture>,
    /// The others.
    pub broken: Vec<Broken>,
}

impl Found {
    /// Every mistake in the files.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.broken.iter().flat_map(|broken| &broken.problems)
    }
}

/// A file that is wrong.
#[derive(Clone, Debug)]
pub struct Broken {
    pub file: String,
    /// Its text, as far as it is one.
    pub source: String,
    pub problems: Vec<Problem>,
}

/// Reads the scenarios in these files and folders.
pub fn find(paths: &[PathBuf]) -> io::Result<Found> {
    let mut files = files(paths, SCENARIO_ENDS)?;
    // Steps that scenarios share are no scenarios, unless somebody names them.
    let is_shared = |file: &PathBuf| file.parent().is_some_and(|folder| folder.ends_with(SHARED));
    files.retain(|file| paths.contains(file) || !is_shared(file));
    let mut found = Found { files: files.len(), ..Found::default() };
    for path in files {
        let file = path.display().to_string();
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(READ_BYTES_MAX).read_to_end(&mut bytes))
            .map_err(|error| io::Error::new(error.kind(), format!("reading `{file}`: {error}")))?;
        let source = match String::from_utf8(bytes) {
            Ok(source) => source,
            Err(error) => {
                let problems = vec![Problem::no_text(&file, &error)];
                let source = String::from_utf8_lossy(error.as_bytes()).into_owned();
                found.broken.push(Broken { file, source, problems });
                continue;
            }
        };
        match read(&file, &source) {
            Ok(scenario) => found.fixtures.push(Fixture { file, source, scenario }),
            Err(problems) => found.broken.push(Broken { file, source, problems }),
        }
    }
    Ok(found)
}

/// One scenario, or everything that is wrong with it: its form, else what its names mean.
fn read(file: &str, source: &str) -> Result<Scenario, Vec<Problem>> {
    let mut scenario = parse(file, source).map_err(|_| mistakes(file, source))?;
    load_shared(file, source, &mut scenario).map_err(|problem| vec![problem])?;
    let problems = lint(file, source, &scenario);
    if problems.is_empty() { Ok(scenario) } else { Err(problems) }
}

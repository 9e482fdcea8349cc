//! What `harness lint` says, through the program: nothing about good scenarios, and about each malformed one what is wrong,
//! where, and what was meant.

#![expect(clippy::unwrap_used, reason = "clippy's leave for tests does not reach their helpers")]

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Runs `harness lint` in the folder of the tests: what it prints names no machine's paths.
fn lint(path: &str) -> (i32, String, String) {
    run(&["lint", path])
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    let Output { status, stdout, stderr } =
        command.args(arguments).current_dir(tests()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_good_scenario_has_no_mistake() {
    assert_eq!(lint("scenarios"), (0, String::new(), "8 scenarios, no mistake\n".to_owned()));
}

#[test]
fn every_malformed_scenario_is_explained() {
    let mut names: Vec<String> = tests()
        .join("malformed")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 40, "{}", names.len());
    let mut all = String::new();
    for name in names {
        let (code, said, _) = lint(&format!("malformed/{name}"));
        assert_eq!(code, 2, "{name}: {said}");
        write!(all, "{}", said.replace("malformed/", "")).unwrap();
    }
    insta::assert_snapshot!(all);
}

/// The lines of the page that are indented are a scenario.
#[test]
fn every_example_of_the_page_of_the_language_is_right() {
    let page = harness::scenario::LANGUAGE;
    let lines: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let source = lines.join("\n");
    let scenario =
        harness::scenario::parse("page", &source).unwrap_or_else(|problem| panic!("{problem}"));
    let problems: Vec<_> = harness::lint::lint("page", &source, &scenario);
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, [""; 0], "{}", problems.join("\n"));
    let verbs: std::collections::BTreeSet<_> =
        scenario.steps.iter().map(|step| step.value.verb()).collect();
    // One that is missing here is unknown to whoever reads the page.
    assert_eq!(verbs.len(), 24, "{verbs:?}");
    let (_, said, _) = run(&["steps"]);
    assert!(said.starts_with(page) && said.contains("presence-crashed-client"), "{said}");
}

#[test]
fn where_there_is_nothing_that_is_said() {
    assert_eq!(lint("../src").0, 4);
    let (code, _, said) = lint("nowhere.yaml");
    assert_eq!(code, 4);
    assert!(said.contains("nowhere.yaml"), "{said}");
}

/// The gateway's program prints its settings, the harness has a list of those that a scenario may give.
#[test]
fn the_settings_of_scenarios_are_settings_of_the_gateway() {
    let gateway = PathBuf::from(env!("CARGO_BIN_EXE_harness")).with_file_name("gateway");
    let printed = Command::new(&gateway).args(["check", "serve"]).output();
    let Output { stdout, .. } =
        printed.unwrap_or_else(|error| panic!("{}: {error}", gateway.display()));
    let printed = String::from_utf8(stdout).unwrap();
    let known: Vec<&str> = printed.split_whitespace().collect();
    for name in harness::lint::SETTINGS {
        assert!(known.contains(name), "the gateway has no `{name}`: {printed}");
    }
}

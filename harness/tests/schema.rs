//! The JSON schema of scenarios: it is what the types say, takes good scenarios, refuses bad ones where they are bad, and
//! describes everything in it.

#![expect(clippy::unwrap_used, reason = "clippy's leave for tests does not reach their helpers")]

use std::{fs, path::Path, process::Command};

use harness::scenario::{LANGUAGE, Time, schema};
use jsonschema::Validator;
use serde_json::{Value, json};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn yaml(source: &str) -> Value {
    serde_saphyr::from_str(source).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// Where a value is wrong, and in what.
fn mistakes(validator: &Validator, value: &Value) -> Vec<String> {
    let errors = validator.iter_errors(value);
    errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Whether the schema takes the type's `value`.
fn takes(name: &str, value: &str) -> bool {
    let mut schema = schema();
    let root = json!({ "$ref": format!("#/$defs/{name}"), "$defs": schema["$defs"].take() });
    jsonschema::draft202012::new(&root).unwrap().is_valid(&value.into())
}

#[test]
fn the_file_is_what_the_types_say() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    let said = command.arg("schema").output().unwrap().stdout;
    assert!(
        read("schema/scenario.json") == String::from_utf8(said).unwrap(),
        "the language has changed: run `cargo run -p harness -- schema > harness/schema/scenario.json`"
    );
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn good_scenarios_are_taken() {
    let page: Vec<_> = LANGUAGE.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    for source in [read("tests/scenarios/crashed-device.yaml"), page.join("\n")] {
        assert_eq!(mistakes(&validator(), &yaml(&source)), [""; 0]);
    }
}

/// The line that an editor looks for.
#[test]
fn the_good_scenario_names_the_schema() {
    let source = read("tests/scenarios/crashed-device.yaml");
    let (_, path) = source.lines().next().unwrap().split_once("$schema=").unwrap();
    assert_eq!(yaml(&read(&format!("tests/scenarios/{path}"))), schema());
}

#[test]
fn bad_scenarios_are_refused_where_they_are_bad() {
    let validator = validator();
    for (name, place) in [
        ("a-list", ""),
        ("an-empty-list", "/steps/0/connect"),
        ("bad-name", "/actors"),
        ("bad-setting", "/stack/settings"),
        ("device-without-a-gateway", "/actors/alice/phone"),
        ("missing-actors", ""),
        ("missing-scenario", ""),
        ("missing-steps", ""),
        ("never-without-a-time", "/steps/2/never"),
        ("number-without-a-unit", "/steps/1/expect/within"),
        ("step-without-a-verb", "/steps/0"),
        ("two-verbs-in-a-step", "/steps/0"),
        ("unknown-crash", "/steps/1/crash/how"),
        ("unknown-generator", "/steps/1/send/text"),
        ("unknown-invariant", "/without/0"),
        ("unknown-key", ""),
        ("unknown-rule", "/spec"),
        ("unknown-step", "/steps/0"),
        ("unknown-symbolic-time", "/steps/1/expect/within"),
        ("unknown-token", "/steps/0/connect"),
        ("unknown-transport", "/actors/alice/phone"),
        ("unknown-unit", "/steps/1/expect/within"),
    ] {
        let value = yaml(&read(&format!("tests/malformed/{name}.yaml")));
        let mistakes = mistakes(&validator, &value);
        let begin = format!("{place}: ");
        assert!(mistakes.iter().any(|it| it.starts_with(&begin)), "{name}: {mistakes:#?}");
    }
}

#[test]
fn a_step_has_one_verb() {
    let step = &schema()["$defs"]["Step"];
    assert_eq!((&step["minProperties"], &step["maxProperties"]), (&json!(1), &json!(1)));
    assert_eq!(step["properties"].as_object().unwrap().len(), 24);
}

#[test]
fn times_are_those_that_can_be_read() {
    for written in ["250ms", "1.5s", "2 min", ".5h", "${ttl} + 500ms", " 2 * ${ ping }-1s"] {
        assert!(written.parse::<Time>().is_ok() && takes("Time", written), "{written}");
    }
    for written in ["", "soon", "500", "5 apples", "${tll}", "1s +", "-1s", "x * 1s", "1.2.3s"] {
        assert!(written.parse::<Time>().is_err() && !takes("Time", written), "{written}");
    }
}

#[test]
fn texts_are_literal_or_made_up() {
    for text in ["hi", "", "{{", "{{any  payload}}", " {{ any chat text }} ", "say {{ what }}"] {
        assert!(takes("Text", text), "{text}");
    }
    assert!(!takes("Text", "{{ any chat txt }}") && !takes("Text", "{{}}"));
}

#[test]
fn every_property_and_value_is_described() {
    fn look(at: &str, value: &Value, missing: &mut Vec<String>) {
        let Value::Object(object) = value else {
            let items = value.as_array().into_iter().flatten();
            return items.for_each(|item| look(at, item, missing));
        };
        for (name, property) in
            object.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            if property["description"].as_str().is_none_or(str::is_empty) {
                missing.push(format!("{at}/{name}"));
            }
        }
        let count = |key: &str| object.get(key).and_then(Value::as_array).map(Vec::len);
        if count("enum") != count("enumDescriptions") {
            missing.push(format!("{at}: values"));
        }
        object.iter().for_each(|(key, value)| look(&format!("{at}/{key}"), value, missing));
    }
    let mut missing = Vec::new();
    look("", &schema(), &mut missing);
    assert_eq!(missing, [""; 0]);
}

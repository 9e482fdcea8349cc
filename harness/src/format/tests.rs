use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::files::files;

fn check(source: &str, expect: &str) {
    let formatted = format("x.yaml", source).unwrap();
    assert_eq!(formatted, expect);
    assert_eq!(format("x.yaml", &formatted).unwrap(), expect, "twice");
}

#[test]
fn steps_stand_in_columns() {
    check(
        "steps:\n- connect:   everyone\n- join: {who: everyone,room: general}   # in\n\
         -   heartbeat: alice.phone\n- repeat:\n    times: 3\n    steps:\n    - stop: {what: gw1}\n    - start: gw1",
        "steps:\n  - connect: everyone\n  - join:    { who: everyone, room: general }   # in\n  \
         - heartbeat: alice.phone\n  - repeat:\n      times: 3\n      steps:\n        \
         - stop:  { what: gw1 }\n        - start: gw1\n",
    );
}

#[test]
fn names_stand_in_columns() {
    check(
        "actors:\n    alice: {phone: gw1}\n    bob: { phone: gw1 }\nrooms: { general: [ alice,bob ] }\n",
        "actors:\n  alice: { phone: gw1 }\n  bob:   { phone: gw1 }\nrooms: { general: [alice, bob] }\n",
    );
}

#[test]
fn blocks_of_parallel_stay_apart() {
    let good = "steps:\n  - parallel:\n      - - send: { from: a.b }\n      - - stop:  { what: gw1 }\n        - start: gw1\n";
    check(good, good);
    check(
        &good
            .replace("  - parallel:\n      - -", "- parallel:\n   - -")
            .replace("\n      - -", "\n   -   -")
            .replace("        - start", "       - start"),
        good,
    );
}

#[test]
fn comments_stay_with_what_they_are_about() {
    check(
        "# first\nsteps:\n# the greeting\n- connect: a   # here\n\n\n\n# and on\n- repeat:\n     # inside\n     times: 1\n# last\n",
        "# first\nsteps:\n  # the greeting\n  - connect: a   # here\n\n  # and on\n  - repeat:\n      # inside\n      times: 1\n  # last\n",
    );
}

#[test]
fn texts_stay_as_they_are() {
    for good in [
        "a: \"x  {y}  # z\"\n",
        "a: it's {no flow\n",
        "a: { b: 'it''s  [x]', \"c\": \"a\\\"b,c\" }\n",
        "a: |\n  two\n   words  \n\n  more\nb: 1\n",
        "a: plain\n  goes  on\nb: 1\n",
        "a: \"one\n  two\"\nb: 1\n",
        "a: { b: 1,\n     c: 2 }\nd: 1\n",
        "url: http://x/y#z\n",
    ] {
        check(good, good);
    }
    check("a: |\n      two\n       words\n", "a: |\n      two\n       words\n");
    check("a:\n    b: |\n        two\n", "a:\n  b: |\n      two\n");
    check("{a: [ ],b: { }, \"c\":1}", "{ a: [], b: {}, \"c\": 1 }\n");
}

#[test]
fn ends_of_lines_are_those_of_unix() {
    check("\u{feff}a: 1  \r\nb: 2\r\n\r\n", "a: 1\nb: 2\n");
}

#[test]
fn what_is_unclear_is_left_alone() {
    for odd in ["a: &x  1\nb:   *x\n", "---\na:   1\n", "a: !!str   1\n", "? a\n:   1\n"] {
        assert_eq!(format("x.yaml", odd).unwrap(), odd);
    }
    assert!(format("x.yaml", "a: [").unwrap_err().to_string().starts_with("x.yaml:1"));
}

#[test]
fn every_fixture_is_formatted() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    for path in files(&[fixtures], &[".yaml"]).unwrap() {
        let source = std::fs::read_to_string(&path).unwrap();
        let formatted = format("x.yaml", &source).unwrap();
        assert!(formatted == source, "run `harness fmt`: {} is not formatted", path.display());
        let again = layout::layout(&source);
        assert_eq!(again.as_deref(), Some(source.as_str()), "{} is unclear", path.display());
    }
}

/// The lines of a good file, each with other spaces.
fn shaken() -> impl Strategy<Value = String> {
    let source = include_str!("../../tests/scenarios/crashed-device.yaml");
    let lines: Vec<&str> = source.lines().collect();
    let count = lines.len();
    (prop::collection::vec((0_usize..4, 0_usize..3, any::<bool>()), count), 1_usize..4).prop_map(
        move |(changes, indent)| {
            let mut text = String::new();
            for (line, (after, blank, is_tight)) in lines.iter().zip(changes) {
                let code = line.trim_start();
                let depth = line.len() - code.len();
                let mut code = code.to_owned();
                if is_tight && !code.contains('"') {
                    code = code.replace("{ ", "{").replace(" }", "}").replace(", ", ",  ");
                }
                text.push_str(&" ".repeat(depth * indent));
                text.push_str(&code);
                text.push_str(&" ".repeat(after));
                text.push_str(&"\n".repeat(blank + 1));
            }
            text
        },
    )
}

proptest! {
    #[test]
    fn meaning_and_comments_stay_and_twice_is_as_good_as_once(source in shaken()) {
        let before = meaning_of(&source);
        prop_assume!(before.is_some());
        let once = format("x.yaml", &source).unwrap();
        prop_assert_eq!(meaning_of(&once), before);
        prop_assert_eq!(lines::comments(&once), lines::comments(&source));
        prop_assert_eq!(format("x.yaml", &once).unwrap(), once);
    }

    #[test]
    fn no_text_makes_it_panic(text: String) {
        drop(format("x.yaml", &text));
        drop(layout::layout(&text));
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic_or_lose_meaning(text in "([ ]{0,4}(- |a: |\\[|\\{|\\}|\\]|,|\"|'|#|x|:|\\||\n|é){0,3}){0,12}") {
        if let (Some(before), Ok(after)) = (meaning_of(&text), format("x.yaml", &text)) {
            prop_assert_eq!(meaning_of(&after), Some(before));
        }
        drop(layout::layout(&text));
    }
}

//! The committed lists of known differences can be read, and speak of scenarios that there are.

use std::{fs, path::Path};

use harness::known::Known;

#[test]
fn every_list_names_scenarios_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut lists = 0;
    for entry in fs::read_dir(root.join("known")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let known: Known = serde_saphyr::from_str(&text).unwrap();
        for difference in known.differences {
            assert!(!difference.says.is_empty() && !difference.confirmed.is_empty());
            for fixture in difference.fixtures.iter().filter(|it| *it != ".yaml") {
                let file = root.join("../fixtures").join(fixture);
                assert!(file.is_file(), "{}: there is no `{fixture}`", path.display());
            }
        }
        lists += 1;
    }
    assert!(lists > 0, "there is a list");
}

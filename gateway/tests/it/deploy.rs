//! What `Dockerfile`, `fly.toml` and the README name exists in the binary.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::process::Settings;

fn file(name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(name)).unwrap()
}

fn help(arguments: &[&str]) -> String {
    let output = Settings::new().command(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names of all settings, and their defaults.
fn settings(role: &str) -> Vec<(String, String)> {
    let output = Settings::new()
        .without("PORT")
        .without("ADMIN_PORT")
        .command(&["check", role])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next().unwrap_or_default().to_owned()))
        })
        .collect()
}

fn default_of(name: &str) -> String {
    settings("dev").into_iter().find(|(n, _)| n == name).unwrap().1
}

#[test]
fn fly_toml_names_commands_ports_paths_and_settings_that_exist() {
    let fly: Value = toml::from_str::<toml::Value>(&file("fly.toml"))
        .map(|toml| serde_json::to_value(toml).unwrap())
        .unwrap();
    let commands = help(&["--help"]);
    let mut named: Vec<&str> =
        fly["processes"].as_object().unwrap().values().filter_map(Value::as_str).collect();
    named.push(fly["deploy"]["release_command"].as_str().unwrap());
    for command in named {
        let command = command.split_whitespace().last().unwrap();
        assert!(commands.contains(&format!("\n  {command} ")), "no command `{command}`");
    }
    let processes: Vec<_> = fly["processes"].as_object().unwrap().keys().collect();
    assert_eq!(processes, ["gateway", "worker"]);
    let known: Vec<_> = settings("serve").into_iter().map(|(name, _)| name).collect();
    for name in fly["env"].as_object().unwrap().keys() {
        assert!(known.contains(name), "no setting `{name}`");
    }
    let env = |name: &str| fly["env"][name].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(fly["http_service"]["internal_port"], env("PORT"));
    for check in fly["checks"].as_object().unwrap().values() {
        assert_eq!(check["port"], env("ADMIN_PORT"));
        let path = check["path"].as_str().unwrap();
        assert!(["/livez", "/readyz"].contains(&path), "{path}");
    }
    assert_eq!(fly["kill_signal"], "SIGTERM");
    let kill_timeout = fly["kill_timeout"].to_string();
    let kill_seconds: u64 = kill_timeout.trim_matches(['"', 's']).parse().unwrap();
    let drain_ms: u64 = default_of("DRAIN_LIMIT_MS").parse().unwrap();
    assert!(kill_seconds * 1_000 > drain_ms, "killed in the middle of a drain");
}

#[test]
fn the_image_starts_the_binary_as_a_user_without_rights_on_the_default_ports() {
    let dockerfile = file("Dockerfile");
    let line = |start: &str| {
        let line = dockerfile.lines().rev().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("no `{start}` in the Dockerfile")).trim().to_owned()
    };
    assert!(line("ENTRYPOINT ").contains("gateway"));
    assert!(!["root", "0"].contains(&line("USER ").split(':').next().unwrap()));
    let exposed = line("EXPOSE ");
    for setting in ["PORT", "ADMIN_PORT"] {
        assert!(exposed.contains(&default_of(setting)), "{exposed}");
    }
}

/// Debian 12 has Node 18, where `crypto` is no global of a script.
#[test]
fn the_readmes_client_runs_on_node_18() {
    let readme = file("README.md");
    let code = readme.split("```js\n").nth(1).unwrap().split("```").next().unwrap();
    let code: Vec<_> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
    assert!(!code.join("\n").contains("crypto."), "{code:?}");
    assert!(code.join("\n").contains("randomUUID()"), "{code:?}");
}

#[test]
fn the_readme_names_commands_and_settings_that_exist() {
    let readme = file("README.md");
    assert!(readme.lines().count() < 150, "{} lines", readme.lines().count());
    let commands = help(&["--help"]);
    for (at, start) in readme.match_indices("`gateway ") {
        let command: String =
            readme[at + start.len()..].chars().take_while(char::is_ascii_lowercase).collect();
        assert!(commands.contains(&format!("\n  {command} ")), "no command `{command}`");
    }
    let known: Vec<_> = settings("serve").into_iter().map(|(name, _)| name).collect();
    for word in readme.split(|c: char| !(c.is_ascii_uppercase() || c == '_')) {
        if word.trim_matches('_').contains('_') {
            assert!(known.iter().any(|name| name == word), "no setting `{word}`");
        }
    }
}

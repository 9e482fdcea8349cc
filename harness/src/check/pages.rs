//! What operators read on the admin port: the health of a gateway's backends, and its metrics.

use serde_json::Value;

/// What a gateway depends on, each by the words that name it.
const DEPENDENCIES: [(&str, &[&str]); 3] = [
    ("the broker", &["kafka", "broker", "log"]),
    ("the database", &["postgres", "postgresql", "database", "db", "sqlite", "store"]),
    ("presence", &["redis", "presence"]),
];

/// What is wrong with an answer on the admin port.
pub(super) fn page(
    verb: &str,
    path: &str,
    status: u16,
    reply: &Value,
    is_worker: bool,
) -> Result<(), String> {
    match (verb, path.split('?').next().unwrap_or_default(), status) {
        ("GET", "/health", 200 | 503) => health(reply, is_worker),
        ("GET", "/metrics", 200) => metrics(reply),
        _ => Ok(()),
    }
}

/// `GET /health` names each dependency, whether all is well (200) or not (503). A worker knows nothing of presence.
fn health(reply: &Value, is_worker: bool) -> Result<(), String> {
    if !reply.is_object() {
        return Err(format!("{reply}, which is no object"));
    }
    let mut names = Vec::new();
    names_in(reply, &mut names);
    for (what, words) in DEPENDENCIES {
        if is_worker && what == "presence" {
            continue;
        }
        let is_it = |name: &String| {
            name.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word))
        };
        if !names.iter().any(is_it) {
            return Err(format!("{reply}, which does not name {what}"));
        }
    }
    Ok(())
}

/// `GET /metrics` is Prometheus' text: comments, and lines of a name, labels and a number.
fn metrics(reply: &Value) -> Result<(), String> {
    let text = reply.as_str().unwrap_or_default();
    let mut samples = 0;
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#')) {
        if !is_sample(line) {
            return Err(format!("the line `{line}`, which is no sample of Prometheus"));
        }
        samples += 1;
    }
    if samples == 0 { Err("no metrics".to_owned()) } else { Ok(()) }
}

/// `name{label="value"} 1.5`, perhaps with a time after it.
fn is_sample(line: &str) -> bool {
    let name_ends = line.find(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
    let Some((name, rest)) = name_ends.and_then(|at| line.split_at_checked(at)) else {
        return false;
    };
    let numbers = match rest.strip_prefix('{') {
        Some(labels) => labels.rsplit_once('}').map(|(_, numbers)| numbers),
        None => Some(rest),
    };
    let mut numbers = numbers.unwrap_or_default().split_whitespace();
    let is_number = numbers.next().is_some_and(|number| number.parse::<f64>().is_ok());
    let is_time = numbers.next().is_none_or(|time| time.parse::<i64>().is_ok());
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && is_number
        && is_time
        && numbers.next().is_none()
}

/// The names of fields, and what is called `name`, in lower case.
fn names_in(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, item) in fields {
                names.push(name.to_lowercase());
                names.extend(item.as_str().filter(|_| name == "name").map(str::to_lowercase));
                names_in(item, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names_in(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn health_names_each_dependency() {
        let good =
            json!({"status": "up", "dependencies": {"kafka": {}, "postgres": {}, "redis": {}}});
        assert_eq!(health(&good, false), Ok(()));
        let listed =
            json!({"checks": [{"name": "Broker"}, {"name": "database"}, {"name": "redis"}]});
        assert_eq!(health(&listed, false), Ok(()));
        let of_worker = json!({"kafka": {}, "postgres": {}});
        assert_eq!(health(&of_worker, true), Ok(()));
        for bad in [
            of_worker,
            json!({"kafka": 1, "catalog": 1, "redis": 1}),
            json!({}),
            json!("ok"),
            json!({"kafka": 1, "redis": 1}),
            Value::Null,
        ] {
            assert!(health(&bad, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn metrics_are_samples() {
        let good =
            "# HELP x y\nx_total{a=\"b} c\",d=\"e\"} 1.5\nup 1\nq{quantile=\"0.5\"} NaN 1700\n\n";
        assert_eq!(metrics(&json!(good)), Ok(()));
        for bad in ["", "# only\n", "{\"a\": 1}", "x", "x one", "7x 1", "x 1 2 3"] {
            assert!(metrics(&json!(bad)).is_err(), "{bad}");
        }
        assert!(metrics(&json!({"up": 1})).is_err());
    }
}

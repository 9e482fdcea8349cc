//! Reads `sqlite:` URLs.

use std::str::FromStr as _;

use sqlx::sqlite::SqliteConnectOptions;

use super::Location;

/// `sqlite:FILE`, `sqlite://FILE`, `sqlite::memory:`. Fails with what is wrong.
pub(super) fn location(url: &str) -> Result<Location, String> {
    let rest = url.strip_prefix("sqlite:").ok_or("it must begin with `sqlite:`")?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter {
            // What sqlx and its tools write into such URLs; a missing file is created anyway.
            "mode=rwc" => {}
            "mode=memory" => return Ok(Location::Memory),
            _ => return Err(format!("the parameter `{parameter}` is not supported")),
        }
    }
    match path {
        "" => Err("it names no file".to_owned()),
        ":memory:" => Ok(Location::Memory),
        path => {
            // Reverses percent encoding as sqlx does.
            let options = SqliteConnectOptions::from_str(&format!("sqlite:{path}"))
                .map_err(|error| error.to_string())?;
            Ok(Location::File(options.get_filename().to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_memory_are_read_in_every_usual_spelling() {
        for (url, path) in [
            ("sqlite:chat.db", "chat.db"),
            ("sqlite:/var/chat.db", "/var/chat.db"),
            ("sqlite://chat.db", "chat.db"),
            ("sqlite:///var/chat.db?mode=rwc", "/var/chat.db"),
            ("sqlite:/var/my%20chat.db", "/var/my chat.db"),
        ] {
            assert_eq!(location(url), Ok(Location::File(path.into())), "{url}");
        }
        for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite:chat?mode=memory"] {
            assert_eq!(location(url), Ok(Location::Memory), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for url in ["sqlite:", "sqlite://", "postgres://host/chat", "sqlite:chat.db?mode=ro"] {
            assert!(location(url).is_err(), "{url}");
        }
    }
}

//! The parameters of a `postgres://` URL: which of them mean nothing here.
//!
//! sqlx ignores such a one as well, but logs its value, which may be a password under a name that is misspelled.

/// What sqlx reads, beside `options[...]`.
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The names, without the values, of those that nobody reads.
pub(super) fn unknown(url: &str) -> Vec<&str> {
    let Some((_, parameters)) = url.split_once('?') else { return Vec::new() };
    let parameters = parameters.split('#').next().unwrap_or_default();
    let pairs = parameters.split('&').filter(|pair| !pair.is_empty());
    // Without a `=` it may be anything, a part of a password as well.
    let names = pairs.map(|pair| pair.split_once('=').map_or("?", |(name, _)| name));
    names.filter(|name| !KNOWN.contains(name) && !is_option(name)).collect()
}

fn is_option(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("options[") || name.starts_with("options%5b")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_parameters_are_named_without_their_values() {
        let check = |url: &str, expect: &[&str]| assert_eq!(unknown(url), expect, "{url}");
        check("postgres://db/chat", &[]);
        check("postgres://db/chat?sslmode=require&options[x]=1&options%5Bx%5D=1&port=5", &[]);
        check("postgres://db/chat?passwd=hush&connect_timeout=3", &["passwd", "connect_timeout"]);
        check("postgres://db/chat?hush&user=chat#x", &["?"]);
    }
}

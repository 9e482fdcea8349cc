use super::*;

fn load(role: Role, settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::load(role, environment, &Overrides::default())
}

#[test]
fn dev_needs_no_setting_and_makes_a_secret_up() {
    let config = load(Role::Dev, &[]).unwrap();
    assert!(config.tokens.is_generated);
    assert_eq!(config.host, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(config.backends.broker, BrokerChoice::Embedded);
}

#[test]
fn serve_names_everything_that_is_missing_at_once() {
    let error = load(Role::Serve, &[("PORT", "x")]).unwrap_err();
    let names: Vec<_> = error.problems.iter().filter_map(|p| p.split(':').next()).collect();
    assert_eq!(names, ["PORT", "JWT_SECRET", "KAFKA_BROKERS", "REDIS_URL", "DATABASE_URL"]);
}

#[test]
fn serve_and_worker_refuse_embedded_backends() {
    let settings = [
        ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        ("KAFKA_BROKERS", "embedded"),
        ("REDIS_URL", "embedded"),
        ("DATABASE_URL", "sqlite:chat.db"),
    ];
    let error = load(Role::Serve, &settings).unwrap_err();
    assert_eq!(error.problems.len(), 3, "{error}");
    let error = load(Role::Worker, &settings).unwrap_err();
    assert_eq!(error.problems.len(), 2, "{error}");
}

#[test]
fn standalone_needs_a_long_secret_and_nothing_else() {
    assert!(load(Role::Standalone, &[]).unwrap_err().problems[0].starts_with("JWT_SECRET: "));
    let short = [("JWT_SECRET", "short")];
    assert!(load(Role::Standalone, &short).unwrap_err().problems[0].contains("32 bytes"));
    assert!(load(Role::Dev, &short).unwrap().tokens.is_weak);
    assert!(load(Role::Standalone, &[("JWT_SECRET", &"s".repeat(32))]).is_ok());
}

#[test]
fn contradicting_times_are_refused() {
    let check = |settings: &[(&str, &str)], name: &str| {
        let error = load(Role::Dev, settings).unwrap_err();
        assert!(error.problems.iter().any(|p| p.starts_with(name)), "{name}: {error}");
    };
    check(&[("PRESENCE_TTL_S", "45")], "PRESENCE_TTL_S: ");
    check(&[("PRESENCE_LEASE_MS", "61000")], "PRESENCE_LEASE_MS: ");
    check(&[("DRAIN_LIMIT_MS", "10000")], "DRAIN_LIMIT_MS: ");
    check(&[("DATABASE_TIMEOUT_MS", "6000")], "KAFKA_PUBLISH_TIMEOUT_MS: ");
    check(&[("KAFKA_TOPIC_PERSISTED", "chat.messages.v1")], "KAFKA_TOPIC_MESSAGES: ");
    check(&[("JWT_ALGORITHM", "RS256")], "JWT_PUBLIC_KEY_FILE: ");
    check(&[("JWT_ALGORITHM", "none")], "JWT_ALGORITHM: ");
}

#[test]
fn no_secret_is_ever_shown() {
    let config = load(
        Role::Dev,
        &[
            ("JWT_SECRET", "hush-hush"),
            ("DATABASE_URL", "postgres://chat:hush-hush@db/chat"),
            ("REDIS_URL", "redis://:hush-hush@redis"),
            ("KAFKA_SASL_PASSWORD", "hush-hush"),
        ],
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("hush"));
}

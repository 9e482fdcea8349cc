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
    // 10 s for the acks, 10 s for the sockets, 2 s for the rest.
    check(&[("DRAIN_LIMIT_MS", "21999")], "DRAIN_LIMIT_MS: ");
    assert!(load(Role::Dev, &[("DRAIN_LIMIT_MS", "22000")]).is_ok());
    let redis = ("REDIS_URL", "redis://redis");
    check(&[redis, ("PRESENCE_LEASE_MS", "1500")], "REDIS_TIMEOUT_MS: ");
    assert!(load(Role::Dev, &[redis, ("PRESENCE_LEASE_MS", "1502")]).is_ok());
    assert!(load(Role::Dev, &[("PRESENCE_LEASE_MS", "1500")]).is_ok(), "no Redis, no timeout");
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
            ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
            ("KAFKA_SASL_MECHANISM", "PLAIN"),
            ("KAFKA_SASL_USERNAME", "chat"),
            ("KAFKA_SASL_PASSWORD", "hush-hush"),
        ],
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn credentials_that_would_not_be_used_are_refused() {
    for (setting, value) in [
        ("KAFKA_SASL_USERNAME", "chat"),
        ("KAFKA_SASL_PASSWORD", "hush"),
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SSL_CA_FILE", "/dev/null"),
    ] {
        for protocol in ["", "plaintext"] {
            let settings = [(setting, value), ("KAFKA_SECURITY_PROTOCOL", protocol)];
            let error = load(Role::Dev, &settings).unwrap_err();
            let expect = format!("KAFKA_SECURITY_PROTOCOL: {setting} is set");
            assert!(error.problems[0].starts_with(&expect), "{error}");
        }
    }
    let ssl = [("KAFKA_SECURITY_PROTOCOL", "ssl"), ("KAFKA_SSL_CA_FILE", "/dev/null")];
    assert!(load(Role::Dev, &ssl).is_ok());
}

#[test]
fn the_ports_may_be_one_only_where_they_do_not_meet() {
    let meet = |role: Role, host: &str, admin_host: &str| {
        let settings = [
            ("PORT", "3000"),
            ("ADMIN_PORT", "3000"),
            ("HOST", host),
            ("ADMIN_HOST", admin_host),
            ("KAFKA_BROKERS", "kafka:9092"),
            ("DATABASE_URL", "postgres://db/chat"),
        ];
        load(role, &settings).is_err_and(|error| error.to_string().contains("ADMIN_PORT: "))
    };
    assert!(!meet(Role::Worker, "", ""), "a worker has one port");
    for (host, admin_host) in [
        ("", ""),
        ("::", "127.0.0.1"),
        ("10.0.0.1", ""),
        ("0.0.0.0", "10.0.0.1"),
        ("0.0.0.0", "::"),
        ("10.0.0.1", "10.0.0.1"),
    ] {
        assert!(meet(Role::Serve, host, admin_host), "{host} {admin_host}");
    }
    for (host, admin_host) in [("10.0.0.1", "127.0.0.1"), ("0.0.0.0", "::1"), ("::1", "127.0.0.1")]
    {
        assert!(!meet(Role::Serve, host, admin_host), "{host} {admin_host}");
    }
}

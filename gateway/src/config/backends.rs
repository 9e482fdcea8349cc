//! Which broker, presence and store, and how they are reached.

use std::{path::PathBuf, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Overrides, Role,
    reader::{Reader, Source},
};

/// The word that asks for a backend inside this process.
const EMBEDDED: &str = "embedded";

/// The three backends.
#[derive(Clone, Debug)]
pub struct Backends {
    pub broker: BrokerChoice,
    pub presence: PresenceChoice,
    pub store: StoreChoice,
    /// Where embedded backends keep their data.
    pub data: Data,
    pub topics: Topics,
    pub kafka: KafkaConfig,
    /// Longest a call to Redis may take.
    pub redis_timeout: Duration,
    pub database_connections_max: u32,
    /// Longest a call to Postgres may take.
    pub database_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerChoice {
    Embedded,
    /// `host:port,host:port`.
    Kafka {
        brokers: String,
    },
}

#[derive(Clone, Debug)]
pub enum PresenceChoice {
    Embedded,
    Redis { url: SecretString },
}

#[derive(Clone, Debug)]
pub enum StoreChoice {
    /// A file of [`Data`].
    Embedded,
    /// A `sqlite:` URL.
    Sqlite {
        url: SecretString,
    },
    Postgres {
        url: SecretString,
    },
}

/// Where embedded backends keep what they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    Directory(PathBuf),
    /// In memory: gone with the process.
    Ephemeral,
}

/// Names of the topics, and what `migrate` makes of those that are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    pub messages: Arc<str>,
    pub persisted: Arc<str>,
    pub memberships: Arc<str>,
    pub dead_letters: Arc<str>,
    pub partitions: i32,
    /// `-1`: the broker's default.
    pub replication: i32,
    pub min_insync_replicas: Option<String>,
    pub retention_ms: Option<String>,
}

impl Topics {
    pub fn names(&self) -> [Arc<str>; 4] {
        [&self.messages, &self.persisted, &self.memberships, &self.dead_letters].map(Arc::clone)
    }
}

/// How Kafka is spoken to.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    pub group: String,
    pub publish_timeout: Duration,
    pub linger: Duration,
    pub queue_records_max: usize,
    pub session_timeout: Duration,
    pub topic_refresh: Duration,
    /// librdkafka's names: `security.protocol`, `sasl.username`, ...
    pub security: Vec<(&'static str, SecretString)>,
}

impl Backends {
    pub(super) fn read(r: &mut Reader, role: Role, overrides: &Overrides) -> Self {
        let broker = broker(r, role);
        let presence = presence(r, role);
        let store = store(r, role);
        Self {
            data: data(r, role, overrides),
            broker,
            presence,
            store,
            topics: topics(r),
            kafka: kafka(r),
            redis_timeout: r.milliseconds(
                "REDIS_TIMEOUT_MS",
                1_000,
                10..=60_000,
                "longest a call to Redis may take",
            ),
            database_connections_max: r.number(
                "DATABASE_CONNECTIONS_MAX",
                "connections",
                10,
                1..=1_000,
                "size of the database pool of this process",
            ),
            database_timeout: r.milliseconds(
                "DATABASE_TIMEOUT_MS",
                3_000,
                10..=60_000,
                "longest a call to Postgres may take; to SQLite: 10 s",
            ),
        }
    }
}

fn broker(r: &mut Reader, role: Role) -> BrokerChoice {
    let help = "`host:port,host:port`; `embedded` in `dev` and `standalone`";
    match r.raw("KAFKA_BROKERS") {
        Some(text) if text.eq_ignore_ascii_case(EMBEDDED) => {
            r.note("KAFKA_BROKERS", EMBEDDED, "", Source::Environment, help);
            if !role.may_embed() {
                r.problem("KAFKA_BROKERS", format!("`{}` needs a real Kafka", role.as_str()));
            }
            BrokerChoice::Embedded
        }
        Some(brokers) => {
            r.note("KAFKA_BROKERS", brokers.clone(), "", Source::Environment, help);
            for broker in brokers.split(',').filter(|broker| !is_host_and_port(broker.trim())) {
                r.problem("KAFKA_BROKERS", format!("`{broker}` is not `host:port`"));
            }
            BrokerChoice::Kafka { brokers }
        }
        None => {
            let value = if role.may_embed() { EMBEDDED } else { "" };
            r.note("KAFKA_BROKERS", value, "", Source::Default, help);
            if !role.may_embed() {
                r.problem("KAFKA_BROKERS", "is not set, for example `kafka-1:9092,kafka-2:9092`");
            }
            BrokerChoice::Embedded
        }
    }
}

fn is_host_and_port(text: &str) -> bool {
    let is_host = |host: &str| {
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || matches!(c, '@' | '/'))
    };
    text.rsplit_once(':')
        .is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok_and(|p| p > 0))
}

fn presence(r: &mut Reader, role: Role) -> PresenceChoice {
    let help = "`redis://` or `rediss://`; `embedded` in `dev` and `standalone`";
    let Some(text) = r.raw("REDIS_URL").filter(|text| !text.eq_ignore_ascii_case(EMBEDDED)) else {
        let is_needed = role == Role::Serve;
        let is_set = r.raw("REDIS_URL").is_some();
        let source = if is_set { Source::Environment } else { Source::Default };
        let value = if role.may_embed() || is_set { EMBEDDED } else { "" };
        r.note("REDIS_URL", value, "", source, help);
        if is_needed {
            let text = if is_set {
                "`serve` needs a real Redis"
            } else {
                "is not set, for example `redis://redis:6379`"
            };
            r.problem("REDIS_URL", text);
        }
        return PresenceChoice::Embedded;
    };
    let url = r.url("REDIS_URL", help).unwrap_or_else(|| text.clone().into());
    if !text.starts_with("redis://") && !text.starts_with("rediss://") {
        r.problem("REDIS_URL", "must begin with `redis://` or `rediss://`");
    }
    PresenceChoice::Redis { url }
}

fn store(r: &mut Reader, role: Role) -> StoreChoice {
    let help = "`postgres://` or `sqlite:`; a file of the data directory in `dev` and `standalone`; for PgBouncer see ARCHITECTURE.md";
    let Some(url) = r.url("DATABASE_URL", help) else {
        let value = if role.may_embed() { EMBEDDED } else { "" };
        r.note("DATABASE_URL", value, "", Source::Default, help);
        if !role.may_embed() {
            r.problem("DATABASE_URL", "is not set, for example `postgres://user@host:5432/chat`");
        }
        return StoreChoice::Embedded;
    };
    let text = url.expose_secret();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        StoreChoice::Postgres { url }
    } else if text.starts_with("sqlite:") || text.eq_ignore_ascii_case(EMBEDDED) {
        if !role.may_embed() {
            r.problem("DATABASE_URL", format!("`{}` needs a real Postgres", role.as_str()));
        }
        if text.eq_ignore_ascii_case(EMBEDDED) {
            StoreChoice::Embedded
        } else {
            StoreChoice::Sqlite { url }
        }
    } else {
        r.problem("DATABASE_URL", "must begin with `postgres://` or `sqlite:`");
        StoreChoice::Embedded
    }
}

fn data(r: &mut Reader, role: Role, overrides: &Overrides) -> Data {
    let help = "where `dev` and `standalone` keep all their data; one process at a time holds it";
    if overrides.is_ephemeral && role.may_embed() {
        r.note("DATA_DIR", "(ephemeral: nothing is kept)", "", Source::CommandLine, help);
        return Data::Ephemeral;
    }
    if let Some(directory) = &overrides.data_dir {
        r.note("DATA_DIR", directory.display().to_string(), "", Source::CommandLine, help);
        return Data::Directory(directory.clone());
    }
    Data::Directory(r.text("DATA_DIR", "chat-data", help).into())
}

/// Stands for the broker's own retention.
const RETENTION_DEFAULT: i64 = -2;

/// Longest name of a topic that Kafka takes.
const TOPIC_NAME_CHARS_MAX: usize = 249;

fn topics(r: &mut Reader) -> Topics {
    let mut name = |setting: &'static str, default: &str, help: &'static str| -> Arc<str> {
        let name = r.text(setting, default, help);
        let is_valid = name.len() <= TOPIC_NAME_CHARS_MAX
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
            && !matches!(name.as_str(), "." | "..");
        if !is_valid {
            r.problem(setting, format!("`{name}` is not the name of a topic"));
        }
        name.into()
    };
    let messages = name("KAFKA_TOPIC_MESSAGES", "chat.messages.v1", "accepted messages");
    let persisted = name("KAFKA_TOPIC_PERSISTED", "chat.messages.persisted.v1", "stored messages");
    let memberships = name("KAFKA_TOPIC_MEMBERSHIPS", "chat.memberships.v1", "membership changes");
    let dead_letters =
        name("KAFKA_TOPIC_DEAD_LETTERS", "chat.messages.dlq.v1", "records that cannot be stored");
    let names = [&messages, &persisted, &memberships, &dead_letters];
    if (1..names.len()).any(|i| names[..i].contains(&names[i])) {
        r.problem("KAFKA_TOPIC_MESSAGES", "the four topics need four names");
    }
    let replication = r.number(
        "KAFKA_REPLICATION",
        "replicas",
        -1,
        -1..=100,
        "of a topic that `migrate` creates; -1: the broker's default",
    );
    if replication == 0 {
        r.problem("KAFKA_REPLICATION", "a topic needs a replica: `1` or more, or `-1`");
    }
    let min_insync_replicas = r.number(
        "KAFKA_MIN_INSYNC_REPLICAS",
        "replicas",
        0,
        0..=100,
        "of a topic that `migrate` creates; 0: the broker's default",
    );
    if replication > 0 && min_insync_replicas > replication {
        r.problem("KAFKA_MIN_INSYNC_REPLICAS", "more than KAFKA_REPLICATION: nobody could write");
    }
    let retention_ms = r.number(
        "KAFKA_RETENTION_MS",
        "ms",
        RETENTION_DEFAULT,
        RETENTION_DEFAULT..=i64::MAX,
        "of a topic that `migrate` creates; -1: for ever, -2: the broker's default",
    );
    Topics {
        messages,
        persisted,
        memberships,
        dead_letters,
        partitions: r.number(
            "KAFKA_PARTITIONS",
            "partitions",
            8,
            1..=10_000,
            "of a topic that `migrate` creates",
        ),
        replication,
        min_insync_replicas: (min_insync_replicas > 0).then(|| min_insync_replicas.to_string()),
        retention_ms: (retention_ms != RETENTION_DEFAULT).then(|| retention_ms.to_string()),
    }
}

fn kafka(r: &mut Reader) -> KafkaConfig {
    KafkaConfig {
        group: r.text("KAFKA_GROUP", "chat-persistor", "consumer group of the workers"),
        publish_timeout: r.milliseconds(
            "KAFKA_PUBLISH_TIMEOUT_MS",
            5_000,
            100..=9_000,
            "how long the brokers may take to confirm a message before it is refused",
        ),
        linger: r.milliseconds("KAFKA_LINGER_MS", 0, 0..=100, "how long a batch waits to fill up"),
        queue_records_max: r.number(
            "KAFKA_QUEUE_RECORDS_MAX",
            "records",
            100_000,
            1..=10_000_000,
            "records waiting for the brokers; above it messages are refused",
        ),
        session_timeout: r.milliseconds(
            "KAFKA_SESSION_TIMEOUT_MS",
            10_000,
            1_000..=15_000,
            "after which a dead worker's partitions are taken over",
        ),
        topic_refresh: r.milliseconds(
            "KAFKA_TOPIC_REFRESH_MS",
            10_000,
            100..=600_000,
            "how often new partitions are looked for",
        ),
        security: security(r),
    }
}

fn security(r: &mut Reader) -> Vec<(&'static str, SecretString)> {
    let mut security = Vec::new();
    for (setting, name, help) in [
        (
            "KAFKA_SECURITY_PROTOCOL",
            "security.protocol",
            "`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
        ),
        ("KAFKA_SASL_MECHANISM", "sasl.mechanism", "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`"),
        ("KAFKA_SASL_USERNAME", "sasl.username", "user of SASL"),
        ("KAFKA_SSL_CA_FILE", "ssl.ca.location", "certificates to trust, in PEM"),
    ] {
        let Some(value) = r.optional(setting, help) else { continue };
        let words: &[&str] = match name {
            "security.protocol" => &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
            "sasl.mechanism" => &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
            _ => &[],
        };
        if !words.is_empty() && !words.iter().any(|word| word.eq_ignore_ascii_case(&value)) {
            r.problem(setting, format!("`{value}` is none of {}", words.join(", ")));
        }
        if name == "ssl.ca.location"
            && let Err(error) = std::fs::File::open(&value)
        {
            r.problem(setting, format!("cannot read `{value}`: {error}"));
        }
        security.push((name, value.into()));
    }
    if let Some(password) = r.secret("KAFKA_SASL_PASSWORD", "password of SASL") {
        security.push(("sasl.password", password));
    }
    check_protocol(r);
    security
}

/// Nobody gives a password to have it unused, or certificates to speak without them.
fn check_protocol(r: &mut Reader) {
    let protocol = r.raw("KAFKA_SECURITY_PROTOCOL").unwrap_or_else(|| "PLAINTEXT".to_owned());
    let protocol = protocol.to_uppercase();
    for (setting, is_used) in [
        ("KAFKA_SASL_MECHANISM", protocol.starts_with("SASL")),
        ("KAFKA_SASL_USERNAME", protocol.starts_with("SASL")),
        ("KAFKA_SASL_PASSWORD", protocol.starts_with("SASL")),
        ("KAFKA_SSL_CA_FILE", protocol.ends_with("SSL")),
    ] {
        match r.raw(setting) {
            None if is_used && setting != "KAFKA_SSL_CA_FILE" => {
                r.problem(setting, format!("is not set, and `{protocol}` needs it"));
            }
            Some(_) if !is_used => {
                let text = format!("{setting} is set, and `{protocol}` would not use it");
                r.problem("KAFKA_SECURITY_PROTOCOL", text);
            }
            None | Some(_) => {}
        }
    }
}

//! Opens broker, presence and store as the settings choose, and waits for those that are not there yet.

use std::{
    fmt::Display,
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::ExposeSecret as _;
use tokio::time::{Instant, sleep, timeout_at};

use super::AppError;
use crate::{
    broker::Location as LogLocation,
    broker::{
        Broker, BrokerError, EmbeddedBroker, EmbeddedSettings, EmbeddedTopic, KafkaBroker,
        KafkaSettings, Kept, TopicSpec,
    },
    config::{BrokerChoice, Config, Data, PresenceChoice, Role, StoreChoice, Topics},
    http::Dependencies,
    presence::{EmbeddedPresence, Presence, RedisPresence, RedisSettings},
    store::{
        Location as FileLocation, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store,
    },
};

/// Between two attempts at a backend at the start.
const RETRY: Duration = Duration::from_millis(200);

/// The embedded database, in the data directory.
const DATABASE_FILE: &str = "chat.db";

/// What is kept of an in-memory topic for a reader that is behind, in bytes.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The backends of one process.
#[derive(Clone, Debug)]
pub struct Opened {
    pub broker: Arc<dyn Broker>,
    pub store: Arc<dyn Store>,
    pub presence: Arc<dyn Presence>,
    pub dependencies: Dependencies,
    /// Held as long as the process uses its data directory and its database file.
    _locks: Arc<Vec<File>>,
}

/// Opens the backends. Kafka and the database must answer within the start limit; Redis only warns.
pub async fn open(config: &Config) -> Result<Opened, AppError> {
    let deadline = Instant::now() + config.lifecycle.start_limit;
    let locks = Arc::new(lock_files(config)?);
    let (store, store_name) = open_store(config).await?;
    let (broker, broker_name) = open_broker(config).await?;
    let (presence, presence_name) = open_presence(config)?;
    wait("DATABASE_URL", store_name, deadline, || store.ping()).await?;
    wait("KAFKA_BROKERS", broker_name, deadline, || broker.ping()).await?;
    let presence_name = config.role.serves_clients().then_some(presence_name);
    if presence_name.is_some()
        && let Err(error) = presence.ping().await
    {
        tracing::warn!(%error, "starting without presence, it heals when Redis comes back: {error}");
    }
    let dependencies = Dependencies {
        broker: (broker_name, Arc::clone(&broker)),
        store: (store_name, Arc::clone(&store)),
        presence: presence_name.map(|name| (name, Arc::clone(&presence))),
    };
    Ok(Opened { broker, store, presence, dependencies, _locks: locks })
}

/// What is wrong with the addresses of the backends.
pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    let backends = &config.backends;
    if let BrokerChoice::Kafka { brokers } = &backends.broker
        && let Err(error) = KafkaBroker::new(kafka_settings(config, brokers))
    {
        problems.push(format!("KAFKA_BROKERS: {error}"));
    }
    if let PresenceChoice::Redis { url } = &backends.presence
        && config.role.serves_clients()
        && let Err(error) = RedisPresence::check_url(url.expose_secret())
    {
        problems.push(format!("REDIS_URL: {error}"));
    }
    let store = match &backends.store {
        StoreChoice::Embedded => Ok(()),
        StoreChoice::Sqlite { url } => SqliteStore::check_url(url.expose_secret()),
        StoreChoice::Postgres { url } => PostgresStore::check_url(url.expose_secret()),
    };
    if let Err(error) = store {
        problems.push(format!("DATABASE_URL: {error}"));
    }
    problems
}

/// Brings the database up to date and creates the topics that are missing.
pub async fn migrate(config: &Config, opened: &Opened) -> Result<(), AppError> {
    opened.store.migrate().await?;
    tracing::info!("the database schema is up to date");
    let created = opened.broker.create_topics(&topic_specs(&config.backends.topics)).await;
    let created = created.map_err(|error| {
        if let BrokerError::Refused(reason) = error {
            let settings = "KAFKA_PARTITIONS, KAFKA_REPLICATION, KAFKA_MIN_INSYNC_REPLICAS, KAFKA_RETENTION_MS";
            return AppError::Setting(format!("{settings}: {reason}"));
        }
        AppError::Broker(error)
    })?;
    for topic in created {
        tracing::info!("created topic {topic}");
    }
    Ok(())
}

/// Refuses to start on a schema or topics that are not there.
pub(super) async fn require_migrated(config: &Config, opened: &Opened) -> Result<(), AppError> {
    if !opened.store.is_migrated().await? {
        return Err(AppError::NotMigrated);
    }
    let missing = opened.broker.missing_topics(&config.backends.topics.names()).await?;
    if missing.is_empty() { Ok(()) } else { Err(AppError::TopicsMissing(missing.join(", "))) }
}

fn topic_specs(topics: &Topics) -> Vec<TopicSpec> {
    let mut settings = Vec::new();
    if let Some(replicas) = &topics.min_insync_replicas {
        settings.push(("min.insync.replicas", replicas.clone()));
    }
    if let Some(retention) = &topics.retention_ms {
        settings.push(("retention.ms", retention.clone()));
    }
    topics
        .names()
        .into_iter()
        .map(|name| TopicSpec {
            name,
            partitions: topics.partitions,
            replication: topics.replication,
            settings: settings.clone(),
        })
        .collect()
}

/// Tries until it succeeds or the start limit is over.
pub(super) async fn wait<T, E: Display>(
    setting: &'static str,
    what: &'static str,
    deadline: Instant,
    attempt: impl AsyncFn() -> Result<T, E>,
) -> Result<T, AppError> {
    let mut is_first = true;
    loop {
        let Ok(attempted) = timeout_at(deadline, attempt()).await else {
            let reason = "it does not answer".to_owned();
            return Err(AppError::Unreachable { setting, what, reason });
        };
        match attempted {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() + RETRY >= deadline => {
                return Err(AppError::Unreachable { setting, what, reason: error.to_string() });
            }
            Err(error) => {
                if std::mem::take(&mut is_first) {
                    tracing::warn!(%error, "waiting for {what}: {error}");
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// One process at a time uses a data directory, and a database file wherever it is.
fn lock_files(config: &Config) -> Result<Vec<File>, AppError> {
    let mut locks = Vec::new();
    if let (true, Data::Directory(directory)) = (config.role.may_embed(), &config.backends.data) {
        let name = directory.display().to_string();
        let unusable = |source| AppError::DataDir { directory: name.clone(), source };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let lock = lock(&directory.join("lock")).map_err(unusable)?;
        locks.push(lock.ok_or(AppError::DataDirHeld { directory: name })?);
    }
    if let Some(file) = database_file(config) {
        // One file, by whatever name; one that is not there yet has no other.
        let file = file.canonicalize().unwrap_or(file);
        let name = file.display().to_string();
        let lock = lock(&file.with_added_extension("lock"))
            .map_err(|error| AppError::Setting(format!("DATABASE_URL: `{name}.lock`: {error}")))?;
        locks.push(lock.ok_or(AppError::DatabaseHeld { file: name })?);
    }
    Ok(locks)
}

/// The file of SQLite, if it is one.
fn database_file(config: &Config) -> Option<PathBuf> {
    match (&config.backends.store, &config.backends.data) {
        (StoreChoice::Sqlite { url }, _) => SqliteStore::file(url.expose_secret()),
        (StoreChoice::Embedded, Data::Directory(directory)) if config.role.may_embed() => {
            Some(directory.join(DATABASE_FILE))
        }
        (StoreChoice::Embedded | StoreChoice::Postgres { .. }, _) => None,
    }
}

/// `None`: another process holds it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

async fn open_store(config: &Config) -> Result<(Arc<dyn Store>, &'static str), AppError> {
    let backends = &config.backends;
    let is_durable = backends.data != Data::Ephemeral;
    Ok(match &backends.store {
        StoreChoice::Postgres { url } => {
            let options = PostgresOptions {
                pool_connections_max: backends.database_connections_max,
                call_timeout: backends.database_timeout,
            };
            let store = PostgresStore::connect(url.expose_secret(), options)
                .map_err(|error| AppError::Setting(format!("DATABASE_URL: {error}")))?;
            (Arc::new(store), "postgres")
        }
        StoreChoice::Sqlite { url } => {
            let store = SqliteStore::open_url(url.expose_secret(), is_durable)
                .await
                .map_err(|error| AppError::Setting(format!("DATABASE_URL: {error}")))?;
            (Arc::new(store), "sqlite")
        }
        StoreChoice::Embedded => {
            let location = match &backends.data {
                Data::Ephemeral => FileLocation::Memory,
                Data::Directory(directory) => FileLocation::File(directory.join(DATABASE_FILE)),
            };
            let options = SqliteOptions { location, durable: is_durable };
            (Arc::new(SqliteStore::open(options).await?), "sqlite")
        }
    })
}

async fn open_broker(config: &Config) -> Result<(Arc<dyn Broker>, &'static str), AppError> {
    let backends = &config.backends;
    Ok(match &backends.broker {
        BrokerChoice::Kafka { brokers } => {
            let broker = KafkaBroker::new(kafka_settings(config, brokers))
                .map_err(|error| AppError::Setting(format!("KAFKA_BROKERS: {error}")))?;
            (Arc::new(broker), "kafka")
        }
        BrokerChoice::Embedded => {
            let location = log_location(&backends.data);
            let settings = EmbeddedSettings {
                location,
                durable: backends.data != Data::Ephemeral,
                queue_records_max: backends.kafka.queue_records_max,
                topics: embedded_topics(&backends.topics),
            };
            (Arc::new(EmbeddedBroker::open(settings).await?), "log")
        }
    })
}

fn kafka_settings(config: &Config, brokers: &str) -> KafkaSettings {
    let kafka = &config.backends.kafka;
    let security = kafka.security.iter();
    KafkaSettings {
        brokers: brokers.to_owned(),
        client_id: config.server_id.clone(),
        security: security
            .map(|(name, value)| ((*name).to_owned(), value.expose_secret().to_owned()))
            .collect(),
        linger: kafka.linger,
        queue_records_max: kafka.queue_records_max,
        session_timeout: kafka.session_timeout,
        topic_refresh: kafka.topic_refresh,
    }
}

fn log_location(data: &Data) -> LogLocation {
    match data {
        Data::Ephemeral => LogLocation::Memory,
        Data::Directory(directory) => LogLocation::File(directory.join("log.db")),
    }
}

fn embedded_topics(topics: &Topics) -> Vec<EmbeddedTopic> {
    let kept = |name: &Arc<str>, kept: Kept| EmbeddedTopic { name: Arc::clone(name), kept };
    let in_memory = Kept::InMemory { bytes_max: KEPT_BYTES_MAX };
    vec![
        kept(&topics.messages, Kept::UntilCommitted),
        kept(&topics.persisted, in_memory),
        kept(&topics.memberships, in_memory),
        kept(&topics.dead_letters, Kept::Forever),
    ]
}

fn open_presence(config: &Config) -> Result<(Arc<dyn Presence>, &'static str), AppError> {
    let times = &config.presence;
    Ok(match &config.backends.presence {
        PresenceChoice::Redis { url } if config.role != Role::Worker => {
            let settings = RedisSettings {
                url: url.expose_secret().to_owned(),
                ttl: times.ttl,
                lease: times.lease,
                timeout: config.backends.redis_timeout,
            };
            let presence = RedisPresence::new(settings)
                .map_err(|error| AppError::Setting(format!("REDIS_URL: {error}")))?;
            (Arc::new(presence), "redis")
        }
        PresenceChoice::Redis { .. } | PresenceChoice::Embedded => {
            (Arc::new(EmbeddedPresence::new(times.ttl, times.lease)), "presence")
        }
    })
}

/// What is embedded and where it keeps its data, for `dev` and `standalone` to say.
pub fn describe(config: &Config) -> Vec<String> {
    let place = |file: &str| match &config.backends.data {
        Data::Ephemeral => "in memory, gone when it stops".to_owned(),
        Data::Directory(directory) => Path::new(directory).join(file).display().to_string(),
    };
    let mut lines = Vec::new();
    if matches!(config.backends.broker, BrokerChoice::Embedded) {
        lines.push(format!("broker    embedded, {}", place("log.db")));
    }
    if matches!(config.backends.store, StoreChoice::Embedded) {
        lines.push(format!("database  embedded SQLite, {}", place("chat.db")));
    }
    if matches!(config.backends.presence, PresenceChoice::Embedded) {
        lines.push("presence  embedded, in memory".to_owned());
    }
    lines
}

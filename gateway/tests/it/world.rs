//! Gateways and workers with backends of their own: a fresh database and fresh topics, or none at all.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    client::{Client, Transport},
    people::Person,
    process::{Process, Settings},
    servers::Servers,
};

/// What the gateways run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backends {
    /// Kafka, Redis and Postgres; `serve` and `worker` processes.
    Real,
    /// `standalone` on a directory of its own; one process.
    Embedded,
}

/// Processes that share backends with nobody else. Everything ends when it is dropped.
pub(crate) struct World {
    pub(crate) gateways: Vec<Process>,
    pub(crate) workers: Vec<Process>,
    pub(crate) settings: Settings,
    /// Removed at last, after the processes that write to it.
    _data: Option<TempDir>,
}

impl World {
    /// One gateway (and one worker).
    pub(crate) async fn start(backends: Backends) -> Self {
        Self::with(backends, Settings::new()).await
    }

    /// One gateway (and one worker) with more settings.
    pub(crate) async fn with(backends: Backends, settings: Settings) -> Self {
        match backends {
            Backends::Real => Self::real(1, 1, settings).await,
            Backends::Embedded => Self::embedded(settings),
        }
    }

    pub(crate) fn embedded(settings: Settings) -> Self {
        let data = TempDir::new().unwrap();
        let settings = settings.with("DATA_DIR", data.path().display());
        let gateways = vec![Process::start(&["standalone"], &settings)];
        Self { gateways, workers: Vec::new(), settings, _data: Some(data) }
    }

    /// So many gateways and workers on the servers of the stack.
    pub(crate) async fn real(gateways: usize, workers: usize, settings: Settings) -> Self {
        Self::real_with(gateways, workers, isolated(settings).await)
    }

    /// The same on settings that are [`isolated`] already.
    pub(crate) fn real_with(gateways: usize, workers: usize, settings: Settings) -> Self {
        let mut migrate = settings.command(&["migrate"]);
        let output = migrate.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut world = Self { gateways: Vec::new(), workers: Vec::new(), settings, _data: None };
        for _ in 0..workers {
            world.add_worker();
        }
        for _ in 0..gateways {
            world.add_gateway();
        }
        world
    }

    pub(crate) fn add_worker(&mut self) {
        self.workers.push(Process::start(&["worker"], &self.settings));
    }

    pub(crate) fn add_gateway(&mut self) {
        let settings = self.settings.clone().with("SERVER_ID", format!("gw-{}", Uuid::new_v4()));
        self.gateways.push(Process::start(&["serve"], &settings));
    }

    pub(crate) fn gateway(&self) -> &Process {
        &self.gateways[0]
    }

    /// A connected client of the first gateway.
    pub(crate) async fn connect(&self, transport: Transport, person: &Person) -> Client {
        Client::connect(self.gateway().address(), transport, &person.token).await
    }

    /// People of whom all are members of one room, and the room's id.
    pub(crate) async fn room_of(&self, people: &[Person]) -> String {
        let room = people[0].create_room(self.gateway()).await;
        for person in &people[1..] {
            person.join_room(self.gateway(), &room).await;
        }
        room
    }
}

/// The settings with a database, topics and a consumer group that nobody else uses.
pub(crate) async fn isolated(settings: Settings) -> Settings {
    isolated_on(&Servers::shared(), settings).await
}

/// The same on servers of the test's own.
pub(crate) async fn isolated_on(servers: &Servers, settings: Settings) -> Settings {
    let name = format!("it_{}", Uuid::new_v4().simple());
    let server = &servers.database_url;
    let mut connection = PgConnection::connect(server).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("create database {name}"))).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    settings
        .with("KAFKA_BROKERS", &servers.kafka_brokers)
        .with("REDIS_URL", &servers.redis_url)
        .with("DATABASE_URL", format!("{base}/{name}"))
        .with("KAFKA_TOPIC_MESSAGES", format!("{name}.messages"))
        .with("KAFKA_TOPIC_PERSISTED", format!("{name}.persisted"))
        .with("KAFKA_TOPIC_MEMBERSHIPS", format!("{name}.memberships"))
        .with("KAFKA_TOPIC_DEAD_LETTERS", format!("{name}.dlq"))
        .with("KAFKA_PARTITIONS", 4)
        .with("KAFKA_GROUP", &name)
}

/// Waits until `condition` holds, looking again and again; fails after `limit`.
pub(crate) async fn eventually(what: &str, limit: Duration, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition().await {
        assert!(Instant::now() < deadline, "not in {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

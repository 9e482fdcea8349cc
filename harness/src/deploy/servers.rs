//! The servers of a stack, as deployments use them: each with a database and topics of its own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    error::KafkaResult,
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use super::DeployError;
use crate::{
    contract::TOPICS,
    stack::{Service, Stack, StackError},
};

/// How long it may take to remove what a deployment has left; a server that is away keeps it.
const FORGET_LIMIT: Duration = Duration::from_secs(5);

/// How long workers may take to share the partitions out, and how often we look.
const SHARED_OUT_LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(30);

/// Real servers that are up.
#[derive(Clone, Debug)]
pub struct Servers {
    pub brokers: String,
    pub redis_url: String,
    /// Of the server: its last part is a database that exists.
    pub database_url: String,
    pub stack: Stack,
    /// The deployments that have something here.
    names: Arc<Mutex<BTreeSet<String>>>,
}

impl Servers {
    /// Starts a stack, or uses it if it is up.
    pub async fn up(
        stack: Stack,
        progress: impl Fn(&str) + Send + Sync,
    ) -> Result<Self, DeployError> {
        let statuses = stack.up(&Service::ALL, &progress).await?;
        let setting = |service| {
            let status = statuses.iter().find(|status| status.service == service);
            status.map(|status| status.setting().1).unwrap_or_default()
        };
        Ok(Self {
            brokers: setting(Service::Kafka),
            redis_url: setting(Service::Redis),
            database_url: setting(Service::Postgres),
            stack,
            names: Arc::default(),
        })
    }

    /// Lets every server run, whatever scenarios have done to it.
    pub async fn mend(&self) -> Result<(), StackError> {
        self.stack.mend().await
    }

    /// Removes what deployments have left that nobody has stopped: of a run that was broken off.
    pub async fn forget_all(&self) {
        let names: Vec<String> = self.names().iter().cloned().collect();
        join_all(names.iter().map(|name| self.forget(name))).await;
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an empty database for a deployment of this name, and returns its URL.
    pub(super) async fn new_database(&self, name: &str) -> Result<String, DeployError> {
        let failed = |source| DeployError::Database {
            doing: format!("creating the database `{name}`"),
            source,
        };
        self.names().insert(name.to_owned());
        let mut connection = PgConnection::connect(&self.database_url).await.map_err(failed)?;
        // A name that we have made up ourselves: letters, digits and `_`.
        let statement = sqlx::AssertSqlSafe(format!("create database {name}"));
        connection.execute(statement).await.map_err(failed)?;
        let base = self.database_url.rsplit_once('/').map_or("", |(base, _)| base);
        Ok(format!("{base}/{name}"))
    }

    /// Waits until a consumer group has so many members and shares its partitions among them. One that does not get there
    /// is left to who looks at what comes of it.
    pub(super) async fn shared_out(&self, group: &str, members: usize) {
        let Ok(admin) = self.admin().map(Arc::new) else { return };
        let deadline = Instant::now() + SHARED_OUT_LIMIT;
        while Instant::now() < deadline {
            let (admin, name) = (Arc::clone(&admin), group.to_owned());
            let look = tokio::task::spawn_blocking(move || {
                let groups = admin.inner().fetch_group_list(Some(&name), FORGET_LIMIT).ok()?;
                let group = groups.groups().first()?;
                Some(group.state() == "Stable" && group.members().len() == members)
            });
            if look.await.ok().flatten() == Some(true) {
                return;
            }
            sleep(POLL).await;
        }
    }

    fn admin(&self) -> KafkaResult<AdminClient<DefaultClientContext>> {
        ClientConfig::new().set("bootstrap.servers", &self.brokers).create()
    }

    /// Removes the database, the topics and the group of a deployment; what cannot be removed now stays.
    pub(super) async fn forget(&self, name: &str) {
        let topics = TOPICS.map(|topic| format!("{name}.{topic}"));
        let database = async {
            let mut connection = PgConnection::connect(&self.database_url).await?;
            // A name that we have made up ourselves: letters, digits and `_`.
            let statement =
                sqlx::AssertSqlSafe(format!("drop database if exists {name} with (force)"));
            connection.execute(statement).await
        };
        let records = async {
            let admin = self.admin()?;
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            let options = AdminOptions::new().request_timeout(Some(FORGET_LIMIT));
            admin.delete_topics(&topics, &options).await?;
            admin.delete_groups(&[name], &options).await
        };
        // They only take room on a stack that somebody keeps.
        let done = tokio::join!(timeout(FORGET_LIMIT, database), timeout(FORGET_LIMIT, records));
        if matches!(done, (Ok(Ok(_)), Ok(Ok(_)))) {
            self.names().remove(name);
        }
    }
}

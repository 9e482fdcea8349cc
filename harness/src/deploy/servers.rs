//! The servers of a stack, as deployments use them: each with a database and topics of its own.

use sqlx::{Connection as _, Executor as _, PgConnection};

use super::DeployError;
use crate::stack::{Service, Stack, StackName};

/// Real servers that are up.
#[derive(Clone, Debug)]
pub struct Servers {
    pub brokers: String,
    pub redis_url: String,
    /// Of the server: its last part is a database that exists.
    pub database_url: String,
    pub stack: Stack,
}

impl Servers {
    /// Starts a stack, or uses the one that is up under this name.
    pub async fn up(
        name: StackName,
        progress: impl Fn(&str) + Send + Sync,
    ) -> Result<Self, DeployError> {
        let stack = Stack::named(name);
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
        })
    }

    /// Makes an empty database and returns its URL.
    pub(super) async fn new_database(&self, name: &str) -> Result<String, DeployError> {
        let failed = |source| DeployError::Database {
            doing: format!("creating the database `{name}`"),
            source,
        };
        let mut connection = PgConnection::connect(&self.database_url).await.map_err(failed)?;
        // A name that we have made up ourselves: letters, digits and `_`.
        let statement = sqlx::AssertSqlSafe(format!("create database {name}"));
        connection.execute(statement).await.map_err(failed)?;
        let base = self.database_url.rsplit_once('/').map_or("", |(base, _)| base);
        Ok(format!("{base}/{name}"))
    }
}

//! Gateways and workers of our own, with a database and topics that nobody else uses.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    DeployError, Servers, Shape, Signer, Site, Topics,
    process::{self, Process},
};
use crate::{
    contract::TOPICS,
    scenario::EndHow,
    stack::{Ending, Service},
};

/// The secret of all our gateways.
const SECRET: &str = "the secret of scenarios, 32 bytes or more";

/// How soon Kafka gives a dead worker's partitions to another one, in milliseconds. Our stack allows a second; less than
/// three would take a worker on a busy machine for dead.
const KAFKA_SESSION_MS: &str = "3000";

/// How long a process may take from SIGTERM to its end.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(15);

/// How long the answer to a probe may take.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// Running processes. They are killed when it is dropped.
#[derive(Debug)]
pub struct Deployment {
    pub shape: Shape,
    /// The gateway's program.
    pub program: PathBuf,
    /// Logs and embedded data.
    pub directory: PathBuf,
    servers: Option<Servers>,
    database_url: Option<String>,
    prefix: String,
    addresses: Vec<SocketAddr>,
    admin: BTreeMap<String, SocketAddr>,
    server_ids: BTreeMap<String, String>,
    /// Each with a lock of its own: what happens to two at once must not wait for each other.
    processes: BTreeMap<String, Mutex<Process>>,
    http: reqwest::Client,
}

impl Deployment {
    /// Starts all of it in `directory` and waits until it is ready. `ports`: two for each gateway, one for each worker.
    pub async fn start(
        shape: Shape,
        servers: Option<&Servers>,
        program: &Path,
        directory: PathBuf,
        ports: &[u16],
    ) -> Result<Self, DeployError> {
        fs::create_dir_all(&directory).map_err(|source| DeployError::Io {
            doing: format!("making `{}`", directory.display()),
            source,
        })?;
        let name = format!("h{}", Uuid::new_v4().simple());
        let mut environment = common(&shape);
        let mut database_url = None;
        if let Some(servers) = servers {
            let url = servers.new_database(&name).await?;
            environment.extend(real(servers, &name, &url));
            database_url = Some(url);
        } else {
            let data = directory.join("data").display().to_string();
            environment.insert("DATA_DIR".to_owned(), data);
        }
        let mut ports = ports.iter().copied();
        let mut port = || ports.next().expect("the caller counted");
        let (mut processes, mut addresses) = (BTreeMap::new(), Vec::new());
        let (mut admins, mut server_ids) = (BTreeMap::new(), BTreeMap::new());
        let role = if shape.is_real { "serve" } else { "standalone" };
        for n in 1..=shape.gateways {
            let (name, port, admin) = (format!("gw{n}"), port(), port());
            addresses.push(local(port));
            admins.insert(name.clone(), local(admin));
            let mut environment = with_ports(&environment, port, admin);
            let server_id = format!("{name}-{}", Uuid::new_v4());
            environment.insert("SERVER_ID".to_owned(), server_id.clone());
            server_ids.insert(name.clone(), server_id);
            let log = directory.join(format!("{name}.log"));
            let process = Process::new(program, &name, role, environment, admin, log);
            processes.insert(name, process);
        }
        for n in 1..=shape.workers {
            let (name, admin) = (format!("worker{n}"), port());
            admins.insert(name.clone(), local(admin));
            let environment = with_ports(&environment, 0, admin);
            let log = directory.join(format!("{name}.log"));
            let process = Process::new(program, &name, "worker", environment, admin, log);
            processes.insert(name, process);
        }
        let http = reqwest::Client::builder().no_proxy().timeout(PROBE_LIMIT).build();
        let http = http.expect("no setting can be wrong");
        let deployment = Self {
            shape,
            program: program.to_owned(),
            directory,
            servers: servers.cloned(),
            database_url,
            prefix: format!("{name}."),
            addresses,
            admin: admins,
            server_ids,
            processes: processes.into_iter().map(|(name, it)| (name, Mutex::new(it))).collect(),
            http,
        };
        if let Err(error) = deployment.begin(program, &environment).await {
            deployment.stop().await;
            return Err(error);
        }
        Ok(deployment)
    }

    async fn begin(
        &self,
        program: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), DeployError> {
        if self.servers.is_some() {
            let log = self.directory.join("migrate.log");
            process::run(program, "migrate", environment, &log).await?;
        }
        let starting =
            self.processes.values().map(async |it| it.lock().await.start(&self.http).await);
        futures_util::future::try_join_all(starting).await?;
        self.shared_out().await;
        Ok(())
    }

    /// Waits until each worker has its partitions: while they are shared out nothing is stored, and a scenario that begins then
    /// would take the first message for late.
    async fn shared_out(&self) {
        if let Some(servers) = self.servers.as_ref().filter(|_| self.shape.workers > 0) {
            servers.shared_out(self.prefix.trim_end_matches('.'), self.shape.workers).await;
        }
    }

    /// It, as the engine sees it.
    pub fn site(self: &Arc<Self>) -> Site {
        let servers = self.servers.as_ref();
        Site {
            gateways: self.addresses.clone(),
            admin: self.admin.clone(),
            server_ids: self.server_ids.clone(),
            signer: Signer::new(SECRET),
            redis_url: servers.map(|servers| servers.redis_url.clone()),
            database_url: self.database_url.clone(),
            kafka: servers.map(|servers| Topics {
                brokers: servers.brokers.clone(),
                prefix: self.prefix.clone(),
            }),
            deployment: Some(Arc::clone(self)),
        }
    }

    /// Where Kafka, Redis and Postgres write their logs; nowhere if there are none.
    pub fn server_logs(&self) -> Vec<PathBuf> {
        let stack = self.servers.as_ref().map(|servers| &servers.stack);
        stack
            .map(|stack| Service::ALL.map(|service| stack.log(service)).to_vec())
            .unwrap_or_default()
    }

    /// Ends `gw1`, `worker1`, `kafka`, `redis` or `postgres`, and waits for its end.
    pub async fn end(&self, what: &str, how: EndHow) -> Result<(), DeployError> {
        if let Some((stack, service)) = self.service(what)? {
            let ending = match how {
                EndHow::Kill => Ending::Kill,
                EndHow::Term => Ending::Stop,
                EndHow::Freeze => return self.freeze(what).await,
            };
            return Ok(stack.stop(service, ending, &|_| {}).await?);
        }
        self.with(what, async |process| process.end(how).await).await
    }

    /// Starts it again, where it was, and waits until it is ready.
    pub async fn start_again(&self, what: &str) -> Result<(), DeployError> {
        if let Some((stack, service)) = self.service(what)? {
            return Ok(stack.start(service, &|_| {}).await?);
        }
        self.with(what, async |process| {
            process.must_not_have_died()?;
            process.start(&self.http).await
        })
        .await
    }

    /// Stops it where it is.
    pub async fn freeze(&self, what: &str) -> Result<(), DeployError> {
        if let Some((stack, service)) = self.service(what)? {
            return Ok(stack.freeze(service, &|_| {}).await?);
        }
        self.with(what, async |process| process.freeze()).await
    }

    /// Lets it go on.
    pub async fn thaw(&self, what: &str) -> Result<(), DeployError> {
        if let Some((stack, service)) = self.service(what)? {
            return Ok(stack.thaw(service, &|_| {}).await?);
        }
        self.with(what, async |process| process.thaw()).await
    }

    /// These servers run again: frozen ones go on, stopped ones start.
    pub async fn mend_services(&self, services: &[&str]) -> Result<(), DeployError> {
        for what in services {
            // One that is stopped and not frozen cannot be thawed, which is no harm.
            if let Err(error) = self.thaw(what).await
                && !matches!(error, DeployError::Stack(_))
            {
                return Err(error);
            }
            self.start_again(what).await?;
        }
        Ok(())
    }

    /// Every process runs again, also one that has ended by itself.
    pub async fn mend_processes(&self) -> Result<(), DeployError> {
        let mending = self.processes.values().map(async |process| {
            let mut process = process.lock().await;
            process.start(&self.http).await
        });
        futures_util::future::try_join_all(mending).await?;
        self.shared_out().await;
        Ok(())
    }

    /// The processes that nobody has ended and that have ended all the same: name, and how.
    pub async fn ended_by_themselves(&self) -> Vec<(String, String)> {
        let mut ended = Vec::new();
        for (name, process) in &self.processes {
            let how = process.lock().await.ended_by_itself();
            ended.extend(how.map(|how| (name.clone(), how)));
        }
        ended
    }

    /// Whether every process runs, unfrozen.
    pub async fn is_whole(&self) -> bool {
        for process in self.processes.values() {
            let mut process = process.lock().await;
            if !process.is_running() || process.is_frozen {
                return false;
            }
        }
        true
    }

    /// Kills every process, and takes its database, its topics and its group from the servers.
    pub async fn stop(&self) {
        // Nothing depends on a polite end: what is left is killed when this is dropped.
        let ends = self.processes.values().map(async |it| it.lock().await.end(EndHow::Kill).await);
        drop(futures_util::future::join_all(ends).await);
        if let Some(servers) = &self.servers {
            servers.forget(self.prefix.trim_end_matches('.')).await;
        }
    }

    fn service(&self, what: &str) -> Result<Option<(&crate::stack::Stack, Service)>, DeployError> {
        let Some(service) = Service::ALL.into_iter().find(|service| service.name() == what) else {
            return Ok(None);
        };
        match &self.servers {
            Some(servers) => Ok(Some((&servers.stack, service))),
            None => Err(DeployError::NotOurs(what.to_owned())),
        }
    }

    async fn with(
        &self,
        what: &str,
        change: impl AsyncFnOnce(&mut Process) -> Result<(), DeployError>,
    ) -> Result<(), DeployError> {
        let process =
            self.processes.get(what).ok_or_else(|| DeployError::NotOurs(what.to_owned()))?;
        change(&mut *process.lock().await).await
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn common(shape: &Shape) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = [
        ("HOST", "127.0.0.1"),
        ("ADMIN_HOST", "127.0.0.1"),
        ("LOG_FORMAT", "json"),
        ("JWT_SECRET", SECRET),
        ("DRAIN_CLOSE_MS", "500"),
        ("KAFKA_SESSION_TIMEOUT_MS", KAFKA_SESSION_MS),
        ("KAFKA_PARTITIONS", "4"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    environment.insert("DRAIN_LIMIT_MS".to_owned(), DRAIN_LIMIT.as_millis().to_string());
    environment.extend(shape.settings.clone());
    environment
}

fn real(servers: &Servers, name: &str, database_url: &str) -> Vec<(String, String)> {
    let mut settings = vec![
        ("KAFKA_BROKERS".to_owned(), servers.brokers.clone()),
        ("REDIS_URL".to_owned(), servers.redis_url.clone()),
        ("DATABASE_URL".to_owned(), database_url.to_owned()),
        ("KAFKA_GROUP".to_owned(), name.to_owned()),
    ];
    let names = ["MESSAGES", "PERSISTED", "MEMBERSHIPS", "DEAD_LETTERS"];
    for (setting, topic) in names.into_iter().zip(TOPICS) {
        settings.push((format!("KAFKA_TOPIC_{setting}"), format!("{name}.{topic}")));
    }
    settings
}

fn with_ports(
    environment: &BTreeMap<String, String>,
    port: u16,
    admin: u16,
) -> BTreeMap<String, String> {
    let mut environment = environment.clone();
    environment.insert("PORT".to_owned(), port.to_string());
    environment.insert("ADMIN_PORT".to_owned(), admin.to_string());
    environment
}

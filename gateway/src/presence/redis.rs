//! The Redis hash of the contract, section 3, literally. One Redis, not a cluster: a script looks leases up.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use redis::{
    Client, FromRedisValue, IntoConnectionInfo as _, Pipeline, RedisError, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
    io::tcp::TcpSettings,
};
use serde::{Deserialize, Serialize};
use socket2::TcpKeepalive;
use tokio::time::{Instant, timeout};

use super::{Command, Entry, Lease, Presence, PresenceError};
use crate::{
    chat::{SocketId, UserId},
    protocol::{format_time, parse_time},
};

/// Removes the fields of a user that no live lease covers, and those that are no entries at all; returns the
/// others, name by value. Times compare as text. Atomic, so that no entry is lost that comes meanwhile.
const KEEP_LIVE: &str = "
local live = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
    local ok, entry = pcall(cjson.decode, fields[i + 1])
    local lease = false
    if ok and type(entry) == 'table' and type(entry.serverId) == 'string'
        and type(entry.connectedAt) == 'string' then
        lease = redis.call('GET', ARGV[1] .. entry.serverId)
    end
    if lease and entry.connectedAt >= lease then
        live[#live + 1] = fields[i]
        live[#live + 1] = fields[i + 1]
    else
        redis.call('HDEL', KEYS[1], fields[i])
    end
end
return live";

/// Prolongs a lease that has our value; takes it otherwise. Returns 1 if it was ours.
const RENEW: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return 1
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0";

/// Removes a lease that has our value.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0";

/// What Redis says of a key that holds no hash.
const WRONG_TYPE: &str = "WRONGTYPE";

/// Before the server id in the key of a lease.
const LEASE_PREFIX: &str = "presence:server:";

/// What a Redis says that may no longer be written to. Scripts of an old one say it in the middle of their error.
const DEMOTED: [&str; 2] = ["READONLY", "MASTERDOWN"];

/// A connection on which so many calls in a row, or the network for so many call timeouts, say nothing is given up.
const SILENCES_MAX: u32 = 3;

/// A connection younger than this is not replaced: whoever leads to a demoted Redis will do so again.
const REPLACED_AFTER: Duration = Duration::from_millis(500);

/// A key that never exists.
const NO_KEY: &str = "presence:none";

/// How Redis is reached.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://` or `rediss://`.
    pub url: String,
    /// Of a user's key; whole seconds.
    pub ttl: Duration,
    /// Of a gateway.
    pub lease: Duration,
    /// Longest a call may take.
    pub timeout: Duration,
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// Presence in Redis or Valkey.
#[derive(Clone)]
pub struct RedisPresence {
    client: Client,
    link: Arc<Mutex<Link>>,
    /// Calls in a row that were not answered.
    silences: Arc<AtomicU32>,
    settings: RedisSettings,
}

/// One connection at a time. It connects anew by itself when it breaks, and only then.
#[derive(Clone)]
struct Link {
    connection: ConnectionManager,
    made_at: Instant,
}

impl Link {
    fn new(client: &Client, timeout: Duration) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        Ok(Self { connection, made_at: Instant::now() })
    }
}

impl fmt::Debug for RedisPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPresence").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The value of a field.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    server_id: String,
    connected_at: String,
}

impl RedisPresence {
    /// Whether `url` can be one of a Redis.
    pub fn check_url(url: &str) -> Result<(), PresenceError> {
        url.into_connection_info().map(|_| ()).map_err(unavailable)
    }

    /// Needs no Redis to be reachable: connects at the first call, and again after a failed one. Also leaves a Redis that
    /// was demoted, and one that only takes calls.
    pub fn new(settings: RedisSettings) -> Result<Self, PresenceError> {
        let info = settings.url.as_str().into_connection_info().map_err(unavailable)?;
        // A Redis whose machine is gone answers nothing, not even with a reset: without these a connection to it
        // would live for a quarter of an hour.
        let keepalive = TcpKeepalive::new().with_time(settings.timeout * SILENCES_MAX);
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(settings.timeout * SILENCES_MAX);
        let info = info.set_tcp_settings(tcp);
        let client = Client::open(info).map_err(unavailable)?;
        let link = Link::new(&client, settings.timeout).map_err(unavailable)?;
        let link = Arc::new(Mutex::new(link));
        Ok(Self { client, link, silences: Arc::default(), settings })
    }

    async fn call<T>(
        &self,
        call: impl AsyncFnOnce(&mut ConnectionManager) -> RedisResult<T>,
    ) -> Result<T, PresenceError> {
        let Link { mut connection, made_at } = self.link.lock().clone();
        let answer = timeout(self.settings.timeout, call(&mut connection)).await;
        let is_silent = match &answer {
            Ok(Ok(_)) => false,
            Ok(Err(error)) => error.is_timeout(),
            Err(_) => true,
        };
        if !is_silent {
            self.silences.store(0, Ordering::Relaxed);
        } else if self.silences.fetch_add(1, Ordering::Relaxed) + 1 >= SILENCES_MAX {
            self.replace(made_at, "says nothing");
        }
        match answer {
            Ok(Err(error)) if is_demoted(&error) => {
                self.replace(made_at, "was demoted");
                Err(unavailable(error))
            }
            Ok(result) => result.map_err(unavailable),
            Err(_) => Err(PresenceError(format!("no answer in {:?}", self.settings.timeout))),
        }
    }

    /// The next call connects anew, to whom the address then leads. Nothing happens if somebody else was quicker.
    fn replace(&self, made_at: Instant, why: &str) {
        let mut link = self.link.lock();
        if link.made_at != made_at || made_at.elapsed() < REPLACED_AFTER {
            return;
        }
        match Link::new(&self.client, self.settings.timeout) {
            Ok(new) => {
                *link = new;
                self.silences.store(0, Ordering::Relaxed);
                tracing::warn!("left a Redis that {why}");
            }
            Err(error) => tracing::error!(%error, "cannot leave a Redis that {why}: {error}"),
        }
    }

    async fn script<T: FromRedisValue>(
        &self,
        script: &str,
        key: &str,
        arguments: &[&str],
    ) -> Result<T, PresenceError> {
        self.call(async |connection| {
            let mut eval = cmd("EVAL");
            eval.arg(script).arg(1).arg(key).arg(arguments);
            eval.query_async(connection).await
        })
        .await
    }

    fn add(&self, pipeline: &mut Pipeline, command: &Command) {
        match command {
            Command::Connect { user, entry } => self.add_set(pipeline, *user, entry),
            Command::Heartbeat { user, entry } => {
                pipeline.cmd("HEXISTS").arg(user_key(*user)).arg(&entry.socket_id.0);
                self.add_set(pipeline, *user, entry);
            }
            Command::Disconnect { user, socket_id } => {
                pipeline.cmd("HDEL").arg(user_key(*user)).arg(&socket_id.0);
            }
        }
    }

    fn add_set(&self, pipeline: &mut Pipeline, user: UserId, entry: &Entry) {
        let key = user_key(user);
        let value = Value {
            server_id: entry.server_id.clone(),
            connected_at: format_time(entry.connected_at),
        };
        let value = serde_json::to_string(&value).expect("a struct of strings always serializes");
        pipeline.cmd("HSET").arg(&key).arg(&entry.socket_id.0).arg(value);
        pipeline.cmd("EXPIRE").arg(&key).arg(self.settings.ttl.as_secs());
        pipeline.cmd("EVAL").arg(KEEP_LIVE).arg(1).arg(key).arg(LEASE_PREFIX);
    }

    fn lease_ms(&self) -> String {
        self.settings.lease.as_millis().to_string()
    }
}

#[async_trait]
impl Presence for RedisPresence {
    async fn apply(&self, commands: &[Command]) -> Result<(), PresenceError> {
        let mut pipeline = Pipeline::new();
        pipeline.ignore_errors();
        for command in commands {
            self.add(&mut pipeline, command);
        }
        // Entries without a lease count for nothing: a Redis that came back empty must not wait for the next renewal.
        let owner = commands.iter().find_map(Command::owner);
        if let Some(server_id) = owner {
            pipeline.cmd("EXISTS").arg(lease_key(server_id));
        }
        let mut results: Vec<RedisResult<redis::Value>> = self
            .call(async |connection| {
                let results: Vec<RedisResult<redis::Value>> =
                    pipeline.query_async(connection).await?;
                // A demoted Redis refuses each of them: that is for `call` to notice.
                let mut refusals = results.iter().filter_map(|result| result.as_ref().err());
                match refusals.find(|error| error.code() != Some(WRONG_TYPE)) {
                    Some(error) => Err(error.clone()),
                    None => Ok(results),
                }
            })
            .await?;
        let lease = owner.and_then(|_| results.pop());
        for error in results.into_iter().filter_map(Result::err) {
            // Somebody else's key under our name: repeating the command is useless, and the others are done.
            metrics::counter!("presence_errors_total").increment(1);
            tracing::error!(%error, "a key of presence holds something else: {error}");
        }
        match lease {
            Some(Ok(redis::Value::Int(0))) => Err(PresenceError("the lease is gone".to_owned())),
            Some(_) | None => Ok(()),
        }
    }

    async fn sockets(&self, user: UserId) -> Result<Vec<Entry>, PresenceError> {
        let fields: Vec<(String, String)> =
            self.script(KEEP_LIVE, &user_key(user), &[LEASE_PREFIX]).await?;
        let entries = fields.into_iter().filter_map(|(socket_id, value)| {
            let Value { server_id, connected_at } = serde_json::from_str(&value).ok()?;
            let connected_at = parse_time(&connected_at)?;
            Some(Entry { socket_id: SocketId(socket_id), server_id, connected_at })
        });
        Ok(entries.collect())
    }

    async fn take_lease(
        &self,
        server_id: &str,
        started_at: DateTime<Utc>,
    ) -> Result<(), PresenceError> {
        let (key, value) = (lease_key(server_id), format_time(started_at));
        self.call(async |connection| {
            let mut set = cmd("SET");
            set.arg(key).arg(value).arg("PX").arg(self.lease_ms());
            set.query_async(connection).await
        })
        .await
    }

    async fn renew_lease(
        &self,
        server_id: &str,
        started_at: DateTime<Utc>,
    ) -> Result<Lease, PresenceError> {
        let arguments = [&format_time(started_at)[..], &self.lease_ms()];
        let was_ours: bool = self.script(RENEW, &lease_key(server_id), &arguments).await?;
        Ok(if was_ours { Lease::Renewed } else { Lease::TakenAnew })
    }

    async fn release_lease(
        &self,
        server_id: &str,
        started_at: DateTime<Utc>,
    ) -> Result<(), PresenceError> {
        let value = format_time(started_at);
        self.script::<i64>(RELEASE, &lease_key(server_id), &[&value]).await.map(|_| ())
    }

    /// A write that changes nothing: a Redis that was demoted still answers a `PING`.
    async fn ping(&self) -> Result<Duration, PresenceError> {
        let started = Instant::now();
        let write = async |connection: &mut ConnectionManager| {
            cmd("DEL").arg(NO_KEY).query_async::<i64>(connection).await
        };
        self.call(write).await?;
        Ok(started.elapsed())
    }
}

fn user_key(user: UserId) -> String {
    format!("presence:user:{user}")
}

fn lease_key(server_id: &str) -> String {
    format!("{LEASE_PREFIX}{server_id}")
}

fn is_demoted(error: &RedisError) -> bool {
    let (code, detail) = (error.code().unwrap_or_default(), error.detail().unwrap_or_default());
    DEMOTED.iter().any(|word| code == *word || detail.contains(word))
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unavailable(error: RedisError) -> PresenceError {
    PresenceError(error.to_string())
}

//! What can be looked at beside the wire: presence, Redis, the history, the database. `topics` looks into Kafka.

use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Row as _};

use super::{
    reading::{Reading, read},
    records,
    world::World,
};
use crate::{contract::LEASE_KEY, history::What};

/// How long one look may take.
pub(super) const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// A key of Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) exists: bool,
    pub(super) ttl: Option<Duration>,
    pub(super) fields: Vec<(String, String)>,
    /// Of a string.
    pub(super) text: Option<String>,
}

/// The sockets of a user, as the API lists them; the history is told, also of what has not changed: it was so until now.
pub(super) async fn presence(world: &World, user: &str) -> Result<Value, String> {
    let path = format!("/users/{user}/presence");
    let began = world.recorder.now();
    let (status, seen) = world.call(user, "GET", &path, None, None).await?;
    if status != 200 {
        return Err(format!("the answer is {status} {seen}"));
    }
    let entries = seen["sockets"].as_array().into_iter().flatten();
    let sockets = entries.filter_map(|it| it["socketId"].as_str().map(str::to_owned)).collect();
    world.recorder.push(What::Presence { user: user.to_owned(), began, sockets });
    Ok(seen)
}

pub(super) async fn redis_key(world: &World, key: &str) -> Result<Key, String> {
    let url = world.site.redis_url.as_deref().ok_or("no Redis was given")?;
    let failed = |error: redis::RedisError| format!("Redis says: {error}");
    let look = async {
        let client = redis::Client::open(url).map_err(failed)?;
        let mut connection = client.get_multiplexed_async_connection().await.map_err(failed)?;
        let (kind, ttl): (String, i64) = redis::pipe()
            .cmd("TYPE")
            .arg(key)
            .cmd("PTTL")
            .arg(key)
            .query_async(&mut connection)
            .await
            .map_err(failed)?;
        let mut fields: Vec<(String, String)> = Vec::new();
        if kind == "hash" {
            let mut read = redis::cmd("HGETALL");
            let all: std::collections::BTreeMap<String, String> =
                read.arg(key).query_async(&mut connection).await.map_err(failed)?;
            fields.extend(all);
        }
        let text = if kind == "string" {
            redis::cmd("GET").arg(key).query_async(&mut connection).await.map_err(failed)?
        } else {
            None
        };
        let ttl = u64::try_from(ttl).ok().map(Duration::from_millis);
        Ok(Key { exists: kind != "none", ttl, fields, text })
    };
    let looked = tokio::time::timeout(LOOK_LIMIT, look).await;
    looked.unwrap_or_else(|_| Err("Redis does not answer".to_owned()))
}

/// Whether the gateway of every entry has a lease, which is older than the entry.
pub(super) async fn leases(
    world: &World,
    entries: impl Iterator<Item = &(String, String)>,
) -> Result<(), String> {
    for (_, value) in entries {
        let value: Value = serde_json::from_str(value).unwrap_or_default();
        let key = format!("{LEASE_KEY}{}", value["serverId"].as_str().unwrap_or_default());
        let lease = redis_key(world, &key).await?;
        if !lease.exists || lease.ttl.is_none() {
            let what = if lease.exists { "for ever" } else { "not" };
            return Err(format!("the lease `{key}` of an entry exists {what}"));
        }
        let connected = value["connectedAt"].as_str().unwrap_or_default();
        records::covers(lease.text.as_deref().unwrap_or_default(), connected)
            .map_err(|why| format!("the lease `{key}` of an entry {why}"))?;
    }
    Ok(())
}

/// Everything about presence that Redis holds: each key with its value and its TTL in milliseconds.
pub async fn redis_dump(url: &str) -> Result<Value, String> {
    let failed = |error: redis::RedisError| format!("Redis says: {error}");
    let look = async {
        let client = redis::Client::open(url).map_err(failed)?;
        let mut connection = client.get_multiplexed_async_connection().await.map_err(failed)?;
        let mut keys: Vec<String> = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let (next, found): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg("presence:*")
                .arg("COUNT")
                .arg(1_000)
                .query_async(&mut connection)
                .await
                .map_err(failed)?;
            keys.extend(found);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let mut dump = serde_json::Map::new();
        for key in keys {
            let (kind, ttl): (String, i64) = redis::pipe()
                .cmd("TYPE")
                .arg(&key)
                .cmd("PTTL")
                .arg(&key)
                .query_async(&mut connection)
                .await
                .map_err(failed)?;
            let value = if kind == "hash" {
                let fields: std::collections::BTreeMap<String, String> = redis::cmd("HGETALL")
                    .arg(&key)
                    .query_async(&mut connection)
                    .await
                    .map_err(failed)?;
                serde_json::json!(fields)
            } else {
                let text: Option<String> = redis::cmd("GET")
                    .arg(&key)
                    .query_async(&mut connection)
                    .await
                    .map_err(failed)?;
                serde_json::json!(text)
            };
            dump.insert(key, serde_json::json!({"ttl_ms": ttl, "value": value}));
        }
        Ok(Value::Object(dump))
    };
    let looked = tokio::time::timeout(LOOK_LIMIT, look).await;
    looked.unwrap_or_else(|_| Err("Redis does not answer".to_owned()))
}

/// The `clientMsgId`s of a room, in the order of the history over HTTP.
pub(super) async fn history_ids(world: &World, room: &str) -> Result<Vec<String>, String> {
    let messages = match read(world, room).await {
        Reading::Messages(messages) => messages,
        Reading::Closed(reason) | Reading::Failed(reason) => {
            return Err(format!("nobody can read the history: {reason}"));
        }
    };
    let ids = messages.iter().map(|it| it["clientMsgId"].as_str().unwrap_or_default());
    Ok(ids.map(str::to_lowercase).collect())
}

/// The `clientMsgId`s of a room, in the order of the rows.
pub(super) async fn stored_ids(world: &World, room: &str) -> Result<Vec<String>, String> {
    let url = world.site.database_url.as_deref().ok_or("no database was given")?;
    let failed = |error: sqlx::Error| format!("the database says: {error}");
    let look = async {
        let mut connection = PgConnection::connect(url).await.map_err(failed)?;
        let rows = sqlx::query(
            "select client_msg_id::text from messages where room_id = $1::uuid order by id",
        )
        .bind(room)
        .fetch_all(&mut connection)
        .await
        .map_err(failed)?;
        rows.iter().map(|row| row.try_get::<String, _>(0).map_err(failed)).collect()
    };
    let looked = tokio::time::timeout(LOOK_LIMIT, look).await;
    looked.unwrap_or_else(|_| Err("the database does not answer".to_owned()))
}

/// Room, sender and `clientMsgId` of every row of the scenario's rooms.
pub(super) async fn rows(world: &World) -> Result<Vec<[String; 3]>, String> {
    let url = world.site.database_url.as_deref().ok_or("no database was given")?;
    let failed = |error: sqlx::Error| format!("the database says: {error}");
    let rooms: Vec<String> = world.rooms().into_iter().map(|(_, id)| id).collect();
    let look = async {
        let mut connection = PgConnection::connect(url).await.map_err(failed)?;
        let rows = sqlx::query(
            "select room_id::text, sender_id::text, client_msg_id::text from messages \
             where room_id = any($1::uuid[])",
        )
        .bind(rooms)
        .fetch_all(&mut connection)
        .await
        .map_err(failed)?;
        let mut found = Vec::new();
        for row in rows {
            let text = |index: usize| row.try_get::<String, _>(index).map_err(failed);
            found.push([text(0)?, text(1)?, text(2)?]);
        }
        Ok(found)
    };
    let looked = tokio::time::timeout(LOOK_LIMIT, look).await;
    looked.unwrap_or_else(|_| Err("the database does not answer".to_owned()))
}

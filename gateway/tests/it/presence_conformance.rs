//! One suite for both presences, and the Redis hash literally.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound as _, Utc};
use gateway::{
    chat::{SocketId, UserId},
    presence::{
        Command, EmbeddedPresence, Entry, Lease, Presence, RedisPresence, RedisSettings, Registrar,
        RegistrarSettings,
    },
    protocol::format_time,
    shutdown::Shutdown,
};
use redis::AsyncCommands as _;
use uuid::Uuid;

use crate::{
    servers::{Servers, Stack},
    world::eventually,
};

const LIMIT: Duration = Duration::from_secs(20);

/// Short, so that the tests can wait for the end of both.
const TTL: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(1);

fn on_redis(url: &str, ttl: Duration, lease: Duration) -> Arc<dyn Presence> {
    let timeout = Duration::from_secs(1);
    let settings = RedisSettings { url: url.to_owned(), ttl, lease, timeout };
    Arc::new(RedisPresence::new(settings).unwrap())
}

fn both(ttl: Duration, lease: Duration) -> [Arc<dyn Presence>; 2] {
    let redis = on_redis(&Servers::shared().redis_url, ttl, lease);
    [redis, Arc::new(EmbeddedPresence::new(ttl, lease))]
}

/// Names that nobody else uses.
fn server(name: &str) -> String {
    format!("{name}-{}", Uuid::new_v4())
}

fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

fn entry(socket: &str, server: &str, connected_at: DateTime<Utc>) -> Entry {
    Entry { socket_id: SocketId(socket.to_owned()), server_id: server.to_owned(), connected_at }
}

fn connect(user: UserId, entry: &Entry) -> Command {
    Command::Connect { user, entry: entry.clone() }
}

async fn names(presence: &Arc<dyn Presence>, user: UserId) -> Vec<String> {
    let mut names: Vec<_> =
        presence.sockets(user).await.unwrap().into_iter().map(|e| e.socket_id.0).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_online_on_the_sockets_that_are_connected() {
    for presence in both(Duration::from_mins(1), Duration::from_mins(1)) {
        let (user, gw) = (UserId(Uuid::new_v4()), server("gw"));
        let started = now();
        presence.take_lease(&gw, started).await.unwrap();
        assert!(names(&presence, user).await.is_empty());
        let (phone, laptop) = (entry("phone", &gw, started), entry("laptop", &gw, started));
        presence.apply(&[connect(user, &phone), connect(user, &laptop)]).await.unwrap();
        assert_eq!(names(&presence, user).await, ["laptop", "phone"], "{presence:?}");
        let gone = Command::Disconnect { user, socket_id: phone.socket_id.clone() };
        presence.apply(&[connect(user, &phone), gone]).await.unwrap();
        assert_eq!(presence.sockets(user).await.unwrap(), [laptop], "in order, {presence:?}");
        presence.release_lease(&gw, started).await.unwrap();
        assert!(names(&presence, user).await.is_empty(), "without a lease nothing counts");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_entry_is_registered_again_by_a_heartbeat() {
    for presence in both(TTL, Duration::from_mins(1)) {
        let (user, gw) = (UserId(Uuid::new_v4()), server("gw"));
        let phone = entry("phone", &gw, now());
        presence.take_lease(&gw, phone.connected_at).await.unwrap();
        presence.apply(&[connect(user, &phone)]).await.unwrap();
        eventually("offline", LIMIT, async || names(&presence, user).await.is_empty()).await;
        presence.apply(&[Command::Heartbeat { user, entry: phone.clone() }]).await.unwrap();
        assert_eq!(presence.sockets(user).await.unwrap(), [phone], "{presence:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_gateways_sockets_stop_counting_and_others_stay() {
    for presence in both(Duration::from_mins(1), LEASE) {
        let user = UserId(Uuid::new_v4());
        let (dead, alive) = (server("dead"), server("alive"));
        let started = now();
        presence.take_lease(&dead, started).await.unwrap();
        presence.take_lease(&alive, started).await.unwrap();
        let (phone, laptop) = (entry("phone", &dead, started), entry("laptop", &alive, started));
        presence.apply(&[connect(user, &phone), connect(user, &laptop)]).await.unwrap();
        eventually("only the live one counts", LIMIT, async || {
            assert_eq!(presence.renew_lease(&alive, started).await.unwrap(), Lease::Renewed);
            names(&presence, user).await == ["laptop"]
        })
        .await;
        // The same server id, started again: what it had before does not come back to life.
        // It may be told that its lease is gone, and nothing else.
        if let Err(error) = presence.apply(&[connect(user, &phone)]).await {
            assert!(error.to_string().contains("the lease is gone"), "{presence:?}: {error}");
        }
        let again = started + chrono::Duration::seconds(5);
        assert_eq!(presence.renew_lease(&dead, again).await.unwrap(), Lease::TakenAnew);
        presence.apply(&[connect(user, &phone)]).await.unwrap();
        assert_eq!(names(&presence, user).await, ["laptop"], "older than the lease, {presence:?}");
        // Nobody gives up a lease that is not theirs.
        presence.release_lease(&dead, started).await.unwrap();
        presence.apply(&[connect(user, &entry("tablet", &dead, again))]).await.unwrap();
        assert_eq!(names(&presence, user).await, ["laptop", "tablet"], "{presence:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_fields_values_and_times_are_literally_those_of_the_contract() {
    let url = Servers::shared().redis_url;
    let presence = on_redis(&url, Duration::from_mins(1), Duration::from_secs(15));
    let client = redis::Client::open(url).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let (user, gw, started) = (UserId(Uuid::new_v4()), server("gw"), now());
    presence.take_lease(&gw, started).await.unwrap();
    let lease = format!("presence:server:{gw}");
    assert_eq!(redis.get::<_, String>(&lease).await.unwrap(), format_time(started));
    assert!((14_000..=15_000).contains(&redis.pttl::<_, i64>(&lease).await.unwrap()));
    let phone = entry("phone", &gw, started);
    let key = format!("presence:user:{user}");
    for command in [connect(user, &phone), Command::Heartbeat { user, entry: phone.clone() }] {
        presence.apply(&[command]).await.unwrap();
        let fields: Vec<(String, String)> = redis.hgetall(&key).await.unwrap();
        let value = format!(r#"{{"serverId":"{gw}","connectedAt":"{}"}}"#, format_time(started));
        assert_eq!(fields, [("phone".to_owned(), value)]);
        assert!((59..=60).contains(&redis.ttl::<_, i64>(&key).await.unwrap()));
    }
    // What is no entry does not count, and the next gateway that touches the key removes it.
    for (field, value) in [("a", "nonsense"), ("b", "[]"), ("c", r#"{"serverId":7}"#)] {
        redis.hset::<_, _, _, ()>(&key, field, value).await.unwrap();
    }
    presence.apply(&[connect(user, &phone)]).await.unwrap();
    assert_eq!(redis.hkeys::<_, Vec<String>>(&key).await.unwrap(), ["phone"]);
    let gone = Command::Disconnect { user, socket_id: phone.socket_id };
    presence.apply(&[gone]).await.unwrap();
    assert!(!redis.exists::<_, bool>(&key).await.unwrap(), "Redis drops an empty hash");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_redis_came_back_empty_exactly_the_live_sockets_are_registered_again() {
    let stack = Stack::start_only("redis");
    let presence = on_redis(&stack.servers.redis_url, Duration::from_mins(1), LEASE);
    let shutdown = Shutdown::default();
    let settings = RegistrarSettings { server_id: server("gw"), lease: LEASE };
    let registrar = Registrar::start(Arc::clone(&presence), settings, &shutdown);
    let user = UserId(Uuid::new_v4());
    let socket = |name: &str| SocketId(name.to_owned());
    let online = async || match presence.sockets(user).await {
        Ok(entries) => entries.into_iter().map(|e| e.socket_id.0).collect(),
        Err(_) => Vec::<String>::new(),
    };
    registrar.connected(user, socket("stays"), now());
    registrar.connected(user, socket("leaves"), now());
    eventually("both", LIMIT, async || online().await.len() == 2).await;
    stack.end("redis", true);
    let started = tokio::time::Instant::now();
    registrar.disconnected(user, &socket("leaves"));
    registrar.connected(user, socket("comes"), now());
    registrar.heartbeat(user, &socket("stays"));
    assert!(started.elapsed() < Duration::from_millis(100), "nobody waits for Redis");
    stack.restart("redis");
    eventually("those that live", LIMIT, async || {
        let mut online = online().await;
        online.sort();
        online == ["comes", "stays"]
    })
    .await;
    registrar.close(Duration::from_secs(1)).await;
    assert!(online().await.is_empty(), "the lease is released");
    shutdown.stopped.cancel();
    assert!(shutdown.wait_for_tasks(LIMIT).await);
}

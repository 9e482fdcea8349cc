//! A Redis that is demoted, or whose connection goes nowhere: the gateway finds the one that its address leads to now.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::Utc;
use gateway::{
    chat::{SocketId, UserId},
    presence::{Presence, RedisPresence, RedisSettings, Registrar, RegistrarSettings},
    shutdown::Shutdown,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{servers::Stack, world::eventually};

const LIMIT: Duration = Duration::from_secs(20);

/// What a load balancer or a name does: new connections go where it points, those that are there stay.
struct Proxy {
    address: SocketAddr,
    /// Where new connections go, and what makes them fall silent.
    target: Arc<Mutex<(String, CancellationToken)>>,
}

impl Proxy {
    async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new((target.to_owned(), CancellationToken::new())));
        let shared = Arc::clone(&target);
        // Ends with the test's runtime.
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let (target, silent) = shared.lock().unwrap().clone();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        // Either side may break it: then it is over.
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        // It stays open, and nobody reads it.
                        () = silent.cancelled() => std::future::pending().await,
                    }
                });
            }
        });
        Self { address, target }
    }

    fn points_to(&self, target: &str) {
        target.clone_into(&mut self.target.lock().unwrap().0);
    }

    /// The connections that are there stay open and carry nothing any more.
    fn swallows(&self) {
        std::mem::take(&mut self.target.lock().unwrap().1).cancel();
    }
}

fn presence(address: &str) -> Arc<RedisPresence> {
    let (ttl, lease) = (Duration::from_mins(1), Duration::from_secs(3));
    let url = format!("redis://{address}");
    let timeout = Duration::from_millis(500);
    Arc::new(RedisPresence::new(RedisSettings { url, ttl, lease, timeout }).unwrap())
}

/// The `host:port` of a stack's Redis.
fn place(stack: &Stack) -> String {
    let url = stack.servers.redis_url.trim_start_matches("redis://");
    url.split('/').next().unwrap().to_owned()
}

/// Two Redis, a proxy that leads to the first, and one socket that is online there.
async fn scene() -> ([Stack; 2], Proxy, UserId, Registrar, Shutdown) {
    let stacks = [Stack::start_only("redis"), Stack::start_only("redis")];
    let proxy = Proxy::to(&place(&stacks[0])).await;
    let shutdown = Shutdown::default();
    let settings = RegistrarSettings { server_id: "gw".to_owned(), lease: Duration::from_secs(3) };
    let registrar = Registrar::start(presence(&proxy.address.to_string()), settings, &shutdown);
    let user = UserId(Uuid::new_v4());
    registrar.connected(user, SocketId("phone".to_owned()), Utc::now());
    is_online_at(&stacks[0], user).await;
    (stacks, proxy, user, registrar, shutdown)
}

async fn is_online_at(stack: &Stack, user: UserId) {
    let presence = presence(&place(stack));
    eventually("online", LIMIT, async || {
        presence.sockets(user).await.is_ok_and(|sockets| sockets.len() == 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_that_demotes_our_redis_everybody_is_online_at_the_new_one() {
    let (stacks, proxy, user, registrar, _shutdown) = scene().await;
    let direct = presence(&place(&stacks[0]));
    direct.ping().await.unwrap();
    proxy.points_to(&place(&stacks[1]));
    let client = redis::Client::open(stacks[0].servers.redis_url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let new = place(&stacks[1]);
    let (host, port) = new.rsplit_once(':').unwrap();
    redis::cmd("REPLICAOF").arg(host).arg(port).exec_async(&mut connection).await.unwrap();
    is_online_at(&stacks[1], user).await;
    let error = direct.ping().await.unwrap_err();
    assert!(error.to_string().contains("read only"), "a demoted one is not healthy: {error}");
    registrar.close(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_swallows_every_call_is_left() {
    let (stacks, proxy, user, registrar, _shutdown) = scene().await;
    proxy.points_to(&place(&stacks[1]));
    proxy.swallows();
    is_online_at(&stacks[1], user).await;
    registrar.close(Duration::from_secs(1)).await;
}

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
use uuid::Uuid;

use super::*;
use crate::presence::EmbeddedPresence;

/// The embedded presence, which can be away, or say nothing.
#[derive(Debug)]
struct Flaky {
    inner: EmbeddedPresence,
    is_away: AtomicBool,
    is_frozen: AtomicBool,
}

impl Flaky {
    fn new() -> Arc<Self> {
        let hour = Duration::from_hours(1);
        let inner = EmbeddedPresence::new(hour, hour);
        Arc::new(Self { inner, is_away: false.into(), is_frozen: false.into() })
    }

    fn check(&self) -> Result<(), PresenceError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(PresenceError("away".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Presence for Flaky {
    async fn apply(&self, commands: &[Command]) -> Result<(), PresenceError> {
        self.check()?;
        self.inner.apply(commands).await
    }

    async fn sockets(&self, user: UserId) -> Result<Vec<Entry>, PresenceError> {
        self.inner.sockets(user).await
    }

    async fn take_lease(&self, id: &str, at: DateTime<Utc>) -> Result<(), PresenceError> {
        self.check()?;
        self.inner.take_lease(id, at).await
    }

    async fn renew_lease(&self, id: &str, at: DateTime<Utc>) -> Result<Lease, PresenceError> {
        self.check()?;
        self.inner.renew_lease(id, at).await
    }

    async fn release_lease(&self, id: &str, at: DateTime<Utc>) -> Result<(), PresenceError> {
        self.check()?;
        if self.is_frozen.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.release_lease(id, at).await
    }

    async fn ping(&self) -> Result<Duration, PresenceError> {
        self.check()?;
        self.inner.ping().await
    }
}

fn start(presence: &Arc<Flaky>) -> Registrar {
    let settings = RegistrarSettings { server_id: "gw".to_owned(), lease: Duration::from_secs(15) };
    Registrar::start(Arc::<Flaky>::clone(presence), settings, &Shutdown::default())
}

fn user(n: u8) -> UserId {
    UserId(Uuid::from_u128(u128::from(n)))
}

fn socket(n: u8) -> SocketId {
    SocketId(format!("socket {n}"))
}

/// Longer than every wait of the registrar; time stands still until all tasks wait.
async fn settle() {
    tokio::time::sleep(Duration::from_mins(1)).await;
}

async fn registered(presence: &Flaky) -> HashSet<Key> {
    let mut all = HashSet::new();
    for n in 0..4 {
        for entry in presence.sockets(user(n)).await.unwrap() {
            all.insert((user(n), entry.socket_id));
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn what_happens_while_redis_is_away_is_done_when_it_is_back() {
    let presence = Flaky::new();
    let registrar = start(&presence);
    registrar.connected(user(0), socket(0), Utc::now());
    registrar.connected(user(1), socket(1), Utc::now());
    settle().await;
    presence.is_away.store(true, Ordering::SeqCst);
    registrar.disconnected(user(0), &socket(0));
    registrar.heartbeat(user(0), &socket(0));
    registrar.connected(user(2), socket(2), Utc::now());
    settle().await;
    presence.is_away.store(false, Ordering::SeqCst);
    settle().await;
    let all = registered(&presence).await;
    assert!(all.len() == 2 && !all.contains(&(user(0), socket(0))), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn closing_takes_everybody_off_and_releases_the_lease_last() {
    let presence = Flaky::new();
    let registrar = start(&presence);
    registrar.connected(user(0), socket(0), Utc::now());
    settle().await;
    registrar.disconnected(user(0), &socket(0));
    registrar.close(Duration::from_secs(1)).await;
    assert!(registered(&presence).await.is_empty());
    let renewed = presence.inner.renew_lease("gw", registrar.shared.started_at).await.unwrap();
    assert_eq!(renewed, Lease::TakenAnew, "it was released");
}

#[tokio::test(start_paused = true)]
async fn closing_takes_no_longer_than_it_may_whatever_redis_does() {
    let presence = Flaky::new();
    let registrar = start(&presence);
    registrar.connected(user(0), socket(0), Utc::now());
    settle().await;
    presence.is_frozen.store(true, Ordering::SeqCst);
    let (started, limit) = (Instant::now(), Duration::from_secs(1));
    registrar.close(limit).await;
    assert!(started.elapsed() <= limit + Duration::from_millis(1), "{:?}", started.elapsed());
    assert!(registrar.shared.closed.is_cancelled());
}

#[derive(Clone, Debug)]
enum Step {
    Connect(u8, u8),
    Heartbeat(u8, u8),
    Disconnect(u8, u8),
    Away(bool),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8, 0..3_u8).prop_map(|(u, s)| Step::Connect(u, s)),
        (0..4_u8, 0..3_u8).prop_map(|(u, s)| Step::Heartbeat(u, s)),
        (0..4_u8, 0..3_u8).prop_map(|(u, s)| Step::Disconnect(u, s)),
        any::<bool>().prop_map(Step::Away),
        proptest::strategy::Just(Step::Settle),
    ]
}

proptest! {
    #[test]
    fn once_redis_is_there_exactly_the_live_sockets_are_registered(
        steps in prop::collection::vec(step(), 0..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let presence = Flaky::new();
            let registrar = start(&presence);
            for step in steps {
                match step {
                    Step::Connect(u, s) => registrar.connected(user(u), socket(s), Utc::now()),
                    Step::Heartbeat(u, s) => registrar.heartbeat(user(u), &socket(s)),
                    Step::Disconnect(u, s) => registrar.disconnected(user(u), &socket(s)),
                    Step::Away(is_away) => presence.is_away.store(is_away, Ordering::SeqCst),
                    Step::Settle => settle().await,
                }
            }
            presence.is_away.store(false, Ordering::SeqCst);
            settle().await;
            assert_eq!(registered(&presence).await, registrar.live());
        });
    }
}

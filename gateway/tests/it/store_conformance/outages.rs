//! Postgres that is slow, silent or gone.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use gateway::store::{
    Batch, OpenError, Persisted, PostgresOptions, PostgresStore, Store, StoreError,
};
use sqlx::{Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::{
    backends::{Database, with_database},
    batch, message, new, old, persist, retry, room,
};

/// Short, so that the checks are quick; a healthy call takes milliseconds.
const OPTIONS: PostgresOptions =
    PostgresOptions { pool_connections_max: 2, call_timeout: Duration::from_secs(1) };

/// What a call may take beyond its limit on a busy machine.
const SLACK: Duration = Duration::from_secs(1);

fn assert_unavailable<T: std::fmt::Debug>(outcome: &Result<T, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
}

/// Forwards to a database until it is dropped; connections end with it.
struct Proxy {
    address: SocketAddr,
    /// Connections with a lower number are silent: connected, but nothing passes.
    first_open: watch::Sender<usize>,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn start(address: &str, server: &PgConnectOptions) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (first_open, gate) = watch::channel(0);
        let accepted = Arc::new(AtomicUsize::new(0));
        let numbers = Arc::clone(&accepted);
        let server = (server.get_host().to_owned(), server.get_port());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let number = numbers.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect((server.0.as_str(), server.1)).await.unwrap();
                let (client_reads, client_writes) = client.into_split();
                let (server_reads, server_writes) = server.into_split();
                connections.spawn(forward(client_reads, server_writes, number, gate.clone()));
                connections.spawn(forward(server_reads, client_writes, number, gate.clone()));
            }
        });
        Self { address, first_open, accepted, _tasks: tasks }
    }

    fn silence_everything(&self) {
        self.first_open.send(usize::MAX).unwrap();
    }

    /// What is connected already stays silent for ever, as after a failover to another machine.
    fn open_for_new_connections(&self) {
        self.first_open.send(self.accepted.load(Ordering::SeqCst)).unwrap();
    }

    fn open_for_all(&self) {
        self.first_open.send(0).unwrap();
    }
}

/// Passes bytes on while the gate is open for this number.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    number: usize,
    mut gate: watch::Receiver<usize>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if gate.wait_for(|&first_open| number >= first_open).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

fn store_at(address: SocketAddr, database: &Database) -> PostgresStore {
    let url = PgConnectOptions::clone(&database.server)
        .host(&address.ip().to_string())
        .port(address.port());
    let url = sqlx::ConnectOptions::to_url_lossy(&url).to_string();
    PostgresStore::connect(&url, OPTIONS).unwrap()
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable_within_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://postgres@{}/chat", listener.local_addr().unwrap());
    let store = PostgresStore::connect(&url, OPTIONS).unwrap();
    let started = Instant::now();
    // More callers than connections.
    for outcome in join_all((0..5).map(|_| store.ping())).await {
        assert_unavailable(&outcome);
    }
    assert_unavailable(&store.persist(batch(None, 1, &[message(room())])).await);
    assert!(started.elapsed() < OPTIONS.call_timeout * 2 + SLACK, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_at_once_and_used_again_when_it_is_back() {
    with_database(async |database| {
        let proxy = Proxy::start("127.0.0.1:0", &database.server).await;
        let address = proxy.address;
        let store = store_at(address, database);
        store.migrate().await.unwrap();
        drop(proxy);
        let started = Instant::now();
        while store.ping().await.is_ok() {
            // The tasks of the proxy are being cancelled.
            tokio::task::yield_now().await;
        }
        for outcome in join_all((0..8).map(|_| store.ping())).await {
            assert_unavailable(&outcome);
        }
        assert!(started.elapsed() < OPTIONS.call_timeout / 2, "{:?}", started.elapsed());
        let _proxy = Proxy::start(&address.to_string(), &database.server).await;
        for outcome in join_all((0..8).map(|_| store.ping())).await {
            outcome.unwrap();
        }
        assert_eq!(persist(&store, None, 0, &[]).await, []);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_freezes_is_used_again_when_it_goes_on() {
    with_database(async |database| {
        let proxy = Proxy::start("127.0.0.1:0", &database.server).await;
        let store = store_at(proxy.address, database);
        store.migrate().await.unwrap();
        store.ping().await.unwrap();
        proxy.silence_everything();
        let started = Instant::now();
        for outcome in join_all((0..6).map(|_| store.ping())).await {
            assert_unavailable(&outcome);
        }
        assert_unavailable(&store.persist(batch(None, 1, &[message(room())])).await);
        assert!(started.elapsed() < OPTIONS.call_timeout * 2 + SLACK, "{:?}", started.elapsed());
        proxy.open_for_all();
        store.ping().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn connections_that_fell_silent_do_not_keep_their_place_in_the_pool() {
    with_database(async |database| {
        let proxy = Proxy::start("127.0.0.1:0", &database.server).await;
        let store = store_at(proxy.address, database);
        store.migrate().await.unwrap();
        for outcome in join_all((0..4).map(|_| store.ping())).await {
            outcome.unwrap();
        }
        proxy.silence_everything();
        for outcome in join_all((0..4).map(|_| store.ping())).await {
            assert_unavailable(&outcome);
        }
        proxy.open_for_new_connections();
        for outcome in join_all((0..4).map(|_| store.ping())).await {
            outcome.unwrap();
        }
    })
    .await;
}

/// Waits until this many statements of the observer's database wait for a lock.
async fn wait_until_blocked(observer: &mut PgConnection, statements: i64) {
    const BLOCKED: &str = "
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(BLOCKED).fetch_one(&mut *observer).await.unwrap()
        < statements
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_that_fall_silent_in_a_statement_do_not_keep_their_place_in_the_pool() {
    with_database(async |database| {
        let proxy = Proxy::start("127.0.0.1:0", &database.server).await;
        let store = store_at(proxy.address, database);
        store.migrate().await.unwrap();
        let mut writer = PgConnection::connect_with(&database.server).await.unwrap();
        let mut observer = PgConnection::connect_with(&database.server).await.unwrap();
        let mut transaction = writer.begin().await.unwrap();
        transaction.execute("LOCK TABLE positions").await.unwrap();
        let first = store.persist(batch(None, 1, &[]));
        let second = store.persist(Batch { partition: 1, ..batch(None, 1, &[]) });
        let (first, second, ()) = tokio::join!(first, second, async {
            wait_until_blocked(&mut observer, 2).await;
            proxy.silence_everything();
        });
        assert_unavailable(&first);
        assert_unavailable(&second);
        transaction.rollback().await.unwrap();
        proxy.open_for_new_connections();
        for outcome in join_all((0..4).map(|_| store.ping())).await {
            outcome.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_row_that_is_committed_while_the_batch_waits_for_it_is_found() {
    with_database(async |database| {
        let store = database.open();
        store.migrate().await.unwrap();
        let kitchen = room();
        let (first, other) = (message(kitchen), message(kitchen));
        let mut writer = PgConnection::connect_with(&database.server).await.unwrap();
        let mut observer = PgConnection::connect_with(&database.server).await.unwrap();
        let mut transaction = writer.begin().await.unwrap();
        sqlx::query("INSERT INTO messages VALUES ($1, $2, $3, $4, $5, 'TEXT', 'hello', $6)")
            .bind(first.id.0)
            .bind(kitchen.0)
            .bind(first.sender_id.0)
            .bind(first.client_msg_id.value())
            .bind(first.client_msg_id.as_str())
            .bind(first.created_at)
            .execute(&mut *transaction)
            .await
            .unwrap();
        let entries = [retry(&first), other.clone()];
        let commit = async {
            wait_until_blocked(&mut observer, 1).await;
            transaction.commit().await.unwrap();
        };
        let (outcome, ()) = tokio::join!(store.persist(batch(None, 2, &entries)), commit);
        assert_eq!(outcome.unwrap(), Persisted::Stored(vec![old(&first), new(&other)]));
    })
    .await;
}

#[tokio::test]
async fn a_position_that_somebody_else_holds_locked_is_unavailable_and_nothing_is_stored() {
    with_database(async |database| {
        let store = PostgresStore::connect(&database.url(), OPTIONS).unwrap();
        store.migrate().await.unwrap();
        persist(&store, None, 1, &[]).await;
        let mut writer = PgConnection::connect_with(&database.server).await.unwrap();
        let mut transaction = writer.begin().await.unwrap();
        transaction.execute("SELECT FROM positions FOR UPDATE").await.unwrap();
        let messages = [message(room())];
        let started = Instant::now();
        assert_unavailable(&store.persist(batch(Some(1), 2, &messages)).await);
        assert!(started.elapsed() < OPTIONS.call_timeout + SLACK);
        transaction.rollback().await.unwrap();
        assert_eq!(store.position(super::TOPIC, 0).await.unwrap(), Some(1));
        assert_eq!(persist(&store, Some(1), 2, &messages).await, [new(&messages[0])]);
    })
    .await;
}

#[tokio::test]
async fn the_server_enforces_the_limits_of_a_caller_that_has_gone() {
    const STILL_RUNNING: &str = "
        SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid())";
    with_database(async |database| {
        let store = PostgresStore::connect(&database.url(), OPTIONS).unwrap();
        store.migrate().await.unwrap();
        persist(&store, None, 1, &[]).await;
        let mut writer = PgConnection::connect_with(&database.server).await.unwrap();
        let mut observer = PgConnection::connect_with(&database.server).await.unwrap();
        let mut transaction = writer.begin().await.unwrap();
        transaction.execute("SELECT FROM positions FOR UPDATE").await.unwrap();
        let messages = [message(room())];
        tokio::select! {
            outcome = store.persist(batch(Some(1), 2, &messages)) => panic!("{outcome:?}"),
            () = wait_until_blocked(&mut observer, 1) => {}
        }
        let started = Instant::now();
        while sqlx::query_scalar(STILL_RUNNING).fetch_one(&mut observer).await.unwrap() {
            assert!(started.elapsed() < OPTIONS.call_timeout + SLACK, "the statement goes on");
            tokio::task::yield_now().await;
        }
        transaction.rollback().await.unwrap();
        assert_eq!(store.position(super::TOPIC, 0).await.unwrap(), Some(1));
        assert!(store.newest_ids(&[messages[0].room_id]).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_url_that_is_none_is_named_without_its_password() {
    for url in ["", "chat", "postgres://user:secret@host:99999/chat"] {
        let error = PostgresStore::connect(url, OPTIONS).unwrap_err();
        assert!(matches!(error, OpenError::InvalidUrl(_)), "{error:?}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let store = PostgresStore::connect("postgres://user:secret@host/chat", OPTIONS).unwrap();
    assert!(!format!("{store:?}").contains("secret"));
}

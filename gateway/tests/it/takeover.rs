//! A partition moves in the middle of a batch: the batch is held in the database by a lock, so that the moment is certain.

use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};

use crate::{
    client::{Client, Transport},
    people::{Person, message},
    process::Settings,
    world::{World, eventually, isolated},
};

const LIMIT: Duration = Duration::from_secs(30);

/// Messages of a batch.
const BATCH: usize = 20;

/// One room in one partition, somebody in it, and a hand on the database.
struct Scene {
    world: World,
    room: String,
    sender: Client,
    receiver: Client,
    database: PgConnection,
    observer: PgPool,
}

impl Scene {
    async fn set() -> Self {
        let settings = isolated(Settings::new().with("KAFKA_SESSION_TIMEOUT_MS", 6_000)).await;
        let world = World::real_with(1, 1, settings.with("KAFKA_PARTITIONS", 1));
        let alice = Person::new();
        let room = world.room_of(std::slice::from_ref(&alice)).await;
        let sender = world.connect(Transport::WebSocket, &alice).await;
        let mut receiver = world.connect(Transport::WebSocket, &alice).await;
        receiver.join(&room).await;
        let url = world.settings.get("DATABASE_URL");
        let database = PgConnection::connect(&url).await.unwrap();
        let observer = PgPool::connect(&url).await.unwrap();
        let mut scene = Self { world, room, sender, receiver, database, observer };
        scene.say(0).await;
        scene.hear(0).await;
        scene
    }

    /// Sends a batch; all of it is accepted.
    async fn say(&mut self, round: usize) {
        let mut acks = Vec::new();
        for n in 0..BATCH {
            let message = message(&self.room, &format!("{round} {n}"));
            acks.push(self.sender.emit("sendMessage", &message).await);
        }
        for ack in self.sender.acks(&acks).await {
            assert_eq!(ack["status"], "ACCEPTED");
        }
    }

    /// Hears a batch: in order, and nothing else between.
    async fn hear(&mut self, round: usize) {
        for n in 0..BATCH {
            let heard: Value = self.receiver.message().await;
            assert_eq!(heard["content"], format!("{round} {n}"));
        }
    }

    /// From here on no message gets into the database.
    async fn lock(&mut self) {
        self.database.execute("begin; lock table messages in share mode").await.unwrap();
    }

    async fn unlock(&mut self) {
        self.database.execute("commit").await.unwrap();
    }

    /// Waits until `query` counts at least `count`.
    async fn counts(&self, what: &str, query: &'static str, count: usize) {
        eventually(what, LIMIT, async || {
            let found = sqlx::query_scalar::<_, i64>(query).fetch_one(&self.observer).await;
            found.unwrap() >= i64::try_from(count).unwrap()
        })
        .await;
    }

    /// A worker's batch is in the database and waits for the lock.
    async fn batch_waits(&self) {
        let query = "select count(*) from pg_stat_activity \
                     where datname = current_database() and wait_event_type = 'Lock'";
        self.counts("a batch waits for the lock", query, 1).await;
    }

    /// At least so many messages are in the database.
    async fn is_stored(&self, count: usize) {
        self.counts("the batch is stored", "select count(*) from messages", count).await;
    }

    /// The last worker has taken the partition over.
    async fn is_taken_over(&self) {
        let worker = self.world.workers.last().unwrap();
        eventually("taken over", LIMIT, async || worker.log().contains("took partition 0 over"))
            .await;
    }

    /// Goes on with another batch, hears it once, and then nothing.
    async fn goes_on(&mut self, round: usize) {
        self.say(round).await;
        self.hear(round).await;
        assert!(self.receiver.is_quiet_for(Duration::from_secs(1)).await, "something came twice");
        self.is_stored((round + 1) * BATCH).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_between_storing_and_publishing_and_thawed_after_the_takeover() {
    let mut scene = Scene::set().await;
    scene.lock().await;
    scene.say(1).await;
    scene.batch_waits().await;
    scene.world.workers[0].signal("STOP");
    scene.unlock().await;
    // The database finishes the statement of the frozen worker, which cannot publish what it has stored: at least the
    // first of the messages.
    scene.is_stored(BATCH + 1).await;
    scene.world.add_worker();
    scene.hear(1).await;
    scene.is_taken_over().await;
    scene.world.workers[0].signal("CONT");
    scene.goes_on(2).await;
    scene.world.workers[1].kill();
    scene.goes_on(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_before_its_batch_is_stored_and_thawed_after_the_takeover() {
    let mut scene = Scene::set().await;
    scene.lock().await;
    scene.say(1).await;
    scene.batch_waits().await;
    scene.world.workers[0].signal("STOP");
    scene.world.add_worker();
    scene.is_taken_over().await;
    scene.batch_waits().await;
    scene.unlock().await;
    scene.hear(1).await;
    scene.world.workers[0].signal("CONT");
    scene.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_from_a_worker_whose_batch_cannot_be_stored_yet() {
    let mut scene = Scene::set().await;
    scene.lock().await;
    scene.say(1).await;
    scene.batch_waits().await;
    scene.world.add_worker();
    scene.world.workers[0].signal("TERM");
    scene.is_taken_over().await;
    scene.unlock().await;
    scene.hear(1).await;
    assert_eq!(scene.world.workers[0].wait().code(), Some(0));
    scene.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_over_while_the_database_does_not_tell_the_position() {
    let mut scene = Scene::set().await;
    // The whole group waits for who is assigned a partition, so nobody may wait for the database there.
    scene.database.execute("begin; lock table positions in access exclusive mode").await.unwrap();
    scene.world.workers[0].kill();
    scene.say(1).await;
    scene.world.add_worker();
    scene.is_taken_over().await;
    scene.unlock().await;
    scene.hear(1).await;
    scene.goes_on(2).await;
}

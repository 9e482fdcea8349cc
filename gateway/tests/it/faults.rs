//! Something dies or stops while people talk: nothing accepted is lost, nothing comes twice, order holds.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    load::Load,
    process::{Process, Settings},
    servers::Stack,
    world::{Backends, World, eventually, isolated_on},
};

/// How often a process is killed in a test that kills.
const KILLS: u64 = 30;

/// A pause that is another one each time, and the same in each run.
fn pause(n: u64) -> Duration {
    Duration::from_millis(20 + (n * 7_919) % 400)
}

/// A killed worker's partitions are taken over within the test, and a broker on a busy machine has its time.
fn quick() -> Settings {
    Settings::new().with("KAFKA_SESSION_TIMEOUT_MS", 6_000).with("KAFKA_PUBLISH_TIMEOUT_MS", 6_500)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_thirty_times_under_load_loses_and_doubles_nothing() {
    let mut world = World::real(2, 1, quick()).await;
    let load = Load::start(&world, 4, 4).await;
    load.hears_more(100).await;
    for n in 0..KILLS {
        world.workers[0].kill();
        world.workers.clear();
        world.add_worker();
        // Sometimes in the middle of the takeover, sometimes of a batch.
        if n % 3 == 0 {
            load.hears_more(30).await;
        }
        tokio::time::sleep(pause(n)).await;
    }
    load.hears_more(100).await;
    let (accepted, refused) = load.finish(&world).await;
    assert!(
        accepted > 1_000 && refused == 0,
        "{accepted} accepted, {refused} refused: {}",
        logs(&world)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_come_and_go_under_load() {
    let mut world = World::real(2, 1, quick()).await;
    let load = Load::start(&world, 4, 4).await;
    for n in 0..6 {
        world.add_worker();
        load.hears_more(50).await;
        let mut leaving = world.workers.remove(0);
        if n % 3 == 2 {
            leaving.kill();
        } else {
            assert_eq!(leaving.terminate().code(), Some(0), "{}", leaving.log());
        }
        load.hears_more(50).await;
    }
    let (_, refused) = load.finish(&world).await;
    assert_eq!(refused, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaving_workers_partitions_are_taken_over_at_once() {
    let mut world = World::real(1, 2, quick()).await;
    let load = Load::start(&world, 1, 1).await;
    load.hears_more(100).await;
    let started = Instant::now();
    assert_eq!(world.workers.remove(0).terminate().code(), Some(0));
    load.hears_more(100).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    load.finish(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_that_thaws_after_the_takeover_does_no_harm() {
    let mut world = World::real(1, 1, quick()).await;
    let load = Load::start(&world, 4, 2).await;
    load.hears_more(100).await;
    for _ in 0..2 {
        world.workers[0].signal("STOP");
        world.add_worker();
        // Heard again means: taken over.
        load.hears_more(200).await;
        world.workers[0].signal("CONT");
        load.hears_more(200).await;
        let mut thawed = world.workers.remove(0);
        assert_eq!(thawed.terminate().code(), Some(0), "{}", thawed.log());
    }
    load.finish(&world).await;
}

/// What the gateways have said, for who has to find out why they have refused something.
fn logs(world: &World) -> String {
    world.gateways.iter().map(Process::log).collect::<Vec<_>>().join("\n")
}

/// A world on servers of its own, and a load on it.
async fn on_own_servers() -> (Stack, World, Load) {
    let stack = Stack::start();
    let world = World::real_with(2, 2, isolated_on(&stack.servers, quick()).await);
    let load = Load::start(&world, 3, 4).await;
    load.hears_more(100).await;
    (stack, world, load)
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_away_for_fifteen_seconds() {
    let (stack, world, load) = on_own_servers().await;
    for kill in [true, false] {
        stack.end("kafka", kill);
        sleep(Duration::from_secs(15));
        stack.restart("kafka");
        load.hears_more(100).await;
    }
    let (accepted, refused) = load.finish(&world).await;
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_restarted_under_load() {
    let (stack, world, load) = on_own_servers().await;
    for kill in [true, false, true] {
        stack.end("postgres", kill);
        sleep(Duration::from_secs(2));
        stack.restart("postgres");
        load.hears_more(100).await;
    }
    load.finish(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_restarted_empty_has_everybody_online_again() {
    let (stack, world, load) = on_own_servers().await;
    let alice = crate::people::Person::new();
    let _client = world.connect(crate::client::Transport::WebSocket, &alice).await;
    let path = format!("/users/{}/presence", alice.id);
    let is_online = async || {
        let response = alice.get(world.gateway(), &path).await;
        response.status() == 200
            && response.json::<serde_json::Value>().await.unwrap()["online"] == true
    };
    eventually("online", Duration::from_secs(10), is_online).await;
    stack.end("redis", true);
    load.hears_more(200).await;
    stack.restart("redis");
    eventually("online again", Duration::from_secs(20), is_online).await;
    let (_, refused) = load.finish(&world).await;
    assert_eq!(refused, 0, "Redis never fails a message");
}

#[tokio::test(flavor = "multi_thread")]
async fn standalone_killed_thirty_times_under_load_loses_nothing_accepted() {
    let data = TempDir::new().unwrap();
    let settings = Settings::new().with("DATA_DIR", data.path().display());
    crate::standalone::killed_under_load(&settings, KILLS, pause).await;
    // And it still starts.
    drop(Process::start(&["standalone"], &settings));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_load_gets_through_on_embedded_backends() {
    let world = World::start(Backends::Embedded).await;
    let load = Load::start(&world, 4, 4).await;
    load.hears_more(500).await;
    let (_, refused) = load.finish(&world).await;
    assert_eq!(refused, 0);
}

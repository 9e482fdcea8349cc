//! The persistor's hard cases: poisoned records, a log that began anew, a database that is an older one.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::Headers as _,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use crate::{
    client::{Client, Transport},
    people::{Person, message},
    process::Settings,
    world::{World, eventually},
};

const LIMIT: Duration = Duration::from_secs(30);

fn kafka(world: &World) -> ClientConfig {
    ClientConfig::from_iter([("bootstrap.servers".to_owned(), world.settings.get("KAFKA_BROKERS"))])
}

async fn produce(world: &World, key: &str, value: Option<&[u8]>) {
    let producer: FutureProducer =
        kafka(world).set("partitioner", "murmur2_random").create().unwrap();
    let topic = world.settings.get("KAFKA_TOPIC_MESSAGES");
    let mut record = FutureRecord::to(&topic).key(key);
    record.payload = value;
    producer.send(record, LIMIT).await.unwrap();
}

/// The dead letters so far: value and reason.
fn dead_letters(world: &World) -> Vec<(Vec<u8>, String)> {
    let consumer: BaseConsumer = kafka(world).set("group.id", "reader").create().unwrap();
    let topic = world.settings.get("KAFKA_TOPIC_DEAD_LETTERS");
    let metadata = consumer.fetch_metadata(Some(&topic), LIMIT).unwrap();
    let mut list = TopicPartitionList::new();
    let mut total = 0;
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(&topic, partition.id(), LIMIT).unwrap();
        total += high - low;
        list.add_partition_offset(&topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut letters = Vec::new();
    for _ in 0..total {
        let letter = consumer.poll(LIMIT).unwrap().unwrap();
        let reason = letter.headers().unwrap().iter().find(|header| header.key == "reason");
        let reason = String::from_utf8(reason.unwrap().value.unwrap().to_vec()).unwrap();
        letters.push((letter.payload().unwrap_or_default().to_vec(), reason));
    }
    letters
}

async fn say(client: &mut Client, room: &str, content: &str) {
    assert_eq!(client.ask("sendMessage", &message(room, content)).await["status"], "ACCEPTED");
}

async fn history(world: &World, person: &Person, room: &str) -> Vec<String> {
    let path = format!("/rooms/{room}/messages?limit=100");
    let page: Vec<Value> = person.get(world.gateway(), &path).await.json().await.unwrap();
    page.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_record_becomes_a_dead_letter_and_holds_nothing_up() {
    let world = World::real(1, 1, Settings::new()).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    say(&mut client, &room, "before").await;
    let good = json!({
        "eventId": Uuid::new_v4(), "roomId": room, "senderId": alice.id,
        "clientMsgId": Uuid::new_v4(), "messageType": "TEXT", "content": "from elsewhere",
        "producedAt": "2026-01-02T03:04:05.678Z",
    });
    let mut bad = vec![b"not json".to_vec(), b"{}".to_vec(), vec![0xff; 10], Vec::new()];
    for (field, value) in [
        ("roomId", json!("x")),
        ("senderId", json!(7)),
        ("clientMsgId", json!("")),
        ("messageType", json!("VIDEO")),
        ("content", json!("")),
        ("content", json!("a\u{0}b")),
        ("content", json!("x".repeat(5_001))),
    ] {
        let mut record = good.clone();
        record[field] = value;
        bad.push(record.to_string().into_bytes());
    }
    for value in &bad {
        produce(&world, &room, Some(value)).await;
    }
    produce(&world, &room, None).await;
    produce(&world, &room, Some(good.to_string().as_bytes())).await;
    say(&mut client, &room, "after").await;
    eventually("what is good is stored, in order", LIMIT, async || {
        history(&world, &alice, &room).await == ["before", "from elsewhere", "after"]
    })
    .await;
    let letters = dead_letters(&world);
    let values: Vec<_> = letters.iter().map(|(value, _)| value.clone()).collect();
    bad.push(Vec::new());
    assert_eq!(values, bad, "the original bytes, in order");
    assert!(letters.iter().all(|(_, reason)| !reason.is_empty()));
    assert!(
        letters[5].1.contains("senderId") || letters[5].1.contains("JSON"),
        "{:?}",
        letters[5].1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_recreated_under_running_processes_are_noticed() {
    let settings = Settings::new().with("KAFKA_TOPIC_REFRESH_MS", 300);
    let world = World::real(1, 1, settings).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    for n in 0..50 {
        say(&mut client, &room, &n.to_string()).await;
    }
    eventually("all stored", LIMIT, async || history(&world, &alice, &room).await.len() == 50)
        .await;
    let admin: AdminClient<DefaultClientContext> = kafka(&world).create().unwrap();
    for topic in ["KAFKA_TOPIC_MESSAGES", "KAFKA_TOPIC_PERSISTED"] {
        let topic = world.settings.get(topic);
        admin.delete_topics(&[&topic], &AdminOptions::new()).await.unwrap();
        eventually("the topic is made again", LIMIT, async || {
            let output = world.settings.command(&["migrate"]).output().unwrap();
            let metadata = admin.inner().fetch_metadata(Some(&topic), LIMIT).unwrap();
            output.status.success() && metadata.topics()[0].partitions().len() == 4
        })
        .await;
    }
    // Its gateway has lost the thread and closes it: it comes back as every client does.
    while client.packet().await.is_some() {}
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    let (mut sent, deadline) = (50, Instant::now() + LIMIT);
    let mut is_heard = false;
    while !is_heard {
        assert!(Instant::now() < deadline, "not heard live again");
        say(&mut client, &room, &sent.to_string()).await;
        sent += 1;
        is_heard = client.heard_within(Duration::from_millis(500)).await;
    }
    let expect: Vec<_> = (0..sent).map(|n| n.to_string()).collect();
    eventually("all stored, in order", LIMIT, async || {
        history(&world, &alice, &room).await == expect
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_topic_loses_nothing() {
    let mut world = World::real(1, 1, Settings::new()).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    for n in 0..20 {
        say(&mut client, &room, &n.to_string()).await;
    }
    eventually("all stored", LIMIT, async || history(&world, &alice, &room).await.len() == 20)
        .await;
    for worker in &mut world.workers {
        assert_eq!(worker.terminate().code(), Some(0));
    }
    world.workers.clear();
    world.gateways.clear();
    let admin: AdminClient<DefaultClientContext> = kafka(&world).create().unwrap();
    let topic = world.settings.get("KAFKA_TOPIC_MESSAGES");
    admin.delete_topics(&[&topic], &AdminOptions::new()).await.unwrap();
    eventually("the topic is made again", LIMIT, async || {
        let output = world.settings.command(&["migrate"]).output().unwrap();
        let metadata = admin.inner().fetch_metadata(Some(&topic), LIMIT).unwrap();
        let partitions = metadata.topics()[0].partitions();
        // Only once the old one is gone does the new one begin at 0.
        output.status.success()
            && partitions.len() == 4
            && partitions.iter().all(|partition| {
                let watermarks = admin.inner().fetch_watermarks(&topic, partition.id(), LIMIT);
                watermarks.is_ok_and(|(_, high)| high == 0)
            })
    })
    .await;
    world.add_gateway();
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    // Fewer than before: all of them lie below the old position. Some before there is a worker.
    for n in 20..25 {
        say(&mut client, &room, &n.to_string()).await;
    }
    world.add_worker();
    for n in 25..30 {
        say(&mut client, &room, &n.to_string()).await;
    }
    let expect: Vec<_> = (0..30).map(|n| n.to_string()).collect();
    eventually("all stored, in order", LIMIT, async || {
        history(&world, &alice, &room).await == expect
    })
    .await;
    assert!(world.workers[0].log().contains("began anew"), "{}", world.workers[0].log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_back_under_a_running_worker_gets_back_what_it_had_forgotten() {
    let mut world = World::real(1, 1, Settings::new()).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    let backup = |database: String| async move {
        let mut database = PgConnection::connect(&database).await.unwrap();
        for table in ["messages", "positions"] {
            let copy = format!("create table backup_{table} as select * from {table}");
            database.execute(sqlx::AssertSqlSafe(copy)).await.unwrap();
        }
        database
    };
    for n in 0..10 {
        say(&mut client, &room, &n.to_string()).await;
    }
    eventually("ten", LIMIT, async || history(&world, &alice, &room).await.len() == 10).await;
    let mut database = backup(world.settings.get("DATABASE_URL")).await;
    for n in 10..20 {
        say(&mut client, &room, &n.to_string()).await;
    }
    eventually("twenty", LIMIT, async || history(&world, &alice, &room).await.len() == 20).await;
    // As a failover to a replica that lags: in one moment.
    let restore = "begin; truncate messages; insert into messages select * from backup_messages; \
                   truncate positions; insert into positions select * from backup_positions; commit";
    database.execute(restore).await.unwrap();
    say(&mut client, &room, "20").await;
    // Its supervisor starts the worker anew.
    assert_eq!(world.workers[0].wait().code(), Some(1), "{}", world.workers[0].log());
    world.workers.clear();
    world.add_worker();
    let expect: Vec<_> = (0..=20).map(|n| n.to_string()).collect();
    eventually("all there again, in order", LIMIT, async || {
        history(&world, &alice, &room).await == expect
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_older_database_gets_back_what_it_had_forgotten() {
    let mut world = World::real(1, 1, Settings::new()).await;
    let alice = Person::new();
    let room = world.room_of(std::slice::from_ref(&alice)).await;
    let mut client = world.connect(Transport::WebSocket, &alice).await;
    client.join(&room).await;
    for n in 0..10 {
        say(&mut client, &room, &n.to_string()).await;
    }
    eventually("ten", LIMIT, async || history(&world, &alice, &room).await.len() == 10).await;
    let url = world.settings.get("DATABASE_URL");
    let mut database = PgConnection::connect(&url).await.unwrap();
    for table in ["messages", "positions"] {
        let copy = format!("create table backup_{table} as select * from {table}");
        database.execute(sqlx::AssertSqlSafe(copy)).await.unwrap();
    }
    for n in 10..20 {
        say(&mut client, &room, &n.to_string()).await;
    }
    eventually("twenty", LIMIT, async || history(&world, &alice, &room).await.len() == 20).await;
    assert_eq!(world.workers[0].terminate().code(), Some(0));
    world.workers.clear();
    for table in ["messages", "positions"] {
        let restore = format!("truncate {table}; insert into {table} select * from backup_{table}");
        for statement in restore.split("; ") {
            database.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.unwrap();
        }
    }
    assert_eq!(history(&world, &alice, &room).await.len(), 10, "forgotten");
    world.add_worker();
    say(&mut client, &room, "20").await;
    let expect: Vec<_> = (0..=20).map(|n| n.to_string()).collect();
    eventually("all there again, in order", LIMIT, async || {
        history(&world, &alice, &room).await == expect
    })
    .await;
}

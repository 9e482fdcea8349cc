//! One suite for every broker: Kafka, the embedded log on disk, the embedded log in memory.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use gateway::broker::{
    Assigned, Broker, BrokerError, EmbeddedBroker, EmbeddedSettings, EmbeddedTopic, Group,
    GroupEvent, Incoming, KafkaBroker, KafkaSettings, Kept, Location, Outgoing, Patience, Start,
    Tail, TailEvent, TopicSpec,
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::{servers::Servers, world::eventually};

const LIMIT: Duration = Duration::from_secs(30);

/// Records published at once.
const MANY: usize = 10_000;

/// A broker with a topic for a group and one for tails, which nobody else uses.
struct Case {
    broker: Arc<dyn Broker>,
    log: Arc<str>,
    news: Arc<str>,
    _data: Option<TempDir>,
}

fn kafka_settings(brokers: &str) -> KafkaSettings {
    KafkaSettings {
        brokers: brokers.to_owned(),
        client_id: "conformance".to_owned(),
        security: Vec::new(),
        linger: Duration::ZERO,
        queue_records_max: 100_000,
        session_timeout: Duration::from_secs(6),
        topic_refresh: Duration::from_millis(300),
    }
}

fn embedded_settings(location: Location, log: &Arc<str>, news: &Arc<str>) -> EmbeddedSettings {
    let topic = |name: &Arc<str>, kept| EmbeddedTopic { name: Arc::clone(name), kept };
    let in_memory = Kept::InMemory { bytes_max: 64 * 1024 * 1024 };
    EmbeddedSettings {
        location,
        durable: true,
        queue_records_max: 100_000,
        topics: vec![topic(log, Kept::UntilCommitted), topic(news, in_memory)],
    }
}

async fn cases() -> Vec<Case> {
    let name = Uuid::new_v4();
    let (log, news): (Arc<str>, Arc<str>) =
        (format!("log-{name}").into(), format!("news-{name}").into());
    let kafka = KafkaBroker::new(kafka_settings(&Servers::shared().kafka_brokers)).unwrap();
    let specs = [&log, &news].map(|name| TopicSpec {
        name: Arc::clone(name),
        partitions: 3,
        replication: -1,
        settings: vec![("min.insync.replicas", "1".to_owned())],
    });
    assert_eq!(kafka.create_topics(&specs).await.unwrap().len(), 2);
    assert!(kafka.create_topics(&specs).await.unwrap().is_empty(), "there already");
    let mut cases = vec![Case {
        broker: Arc::new(kafka),
        log: Arc::clone(&log),
        news: Arc::clone(&news),
        _data: None,
    }];
    let data = TempDir::new().unwrap();
    let file = Location::File(data.path().join("log.db"));
    for (location, data) in [(file, Some(data)), (Location::Memory, None)] {
        let broker = EmbeddedBroker::open(embedded_settings(location, &log, &news)).await.unwrap();
        let (log, news) = (Arc::clone(&log), Arc::clone(&news));
        cases.push(Case { broker: Arc::new(broker), log, news, _data: data });
    }
    cases
}

fn record(topic: &Arc<str>, key: &str, value: impl std::fmt::Display) -> Outgoing {
    Outgoing {
        topic: Arc::clone(topic),
        key: Some(Bytes::from(key.to_owned())),
        value: Some(Bytes::from(value.to_string())),
        headers: vec![("why", Bytes::from_static(b"because"))],
    }
}

async fn publish(broker: &Arc<dyn Broker>, topic: &Arc<str>, values: std::ops::Range<usize>) {
    let publisher = broker.publisher(Patience::Limited(LIMIT)).unwrap();
    let reports: Vec<_> =
        values.map(|n| publisher.publish(record(topic, "one key", n)).unwrap()).collect();
    for report in reports {
        timeout(LIMIT, report).await.unwrap().unwrap();
    }
    assert!(publisher.flush(LIMIT).await);
}

fn numbers(records: &[Incoming]) -> Vec<usize> {
    let text =
        |record: &Incoming| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
    records.iter().map(|record| text(record).parse().unwrap()).collect()
}

async fn read_tail(tail: &mut Box<dyn Tail>, count: usize) -> Vec<usize> {
    let mut all = Vec::new();
    while all.len() < count {
        match timeout(LIMIT, tail.next()).await.expect("records in time") {
            TailEvent::Records(records) => all.extend(numbers(&records)),
            TailEvent::Gap { partition } => panic!("a gap in partition {partition}"),
        }
    }
    all
}

/// Answers the assignment and returns what it was.
async fn accept(group: &mut Box<dyn Group>, start: Start) -> Vec<Assigned> {
    match timeout(LIMIT, group.next()).await.expect("an assignment in time") {
        Some(GroupEvent::Assigned { partitions, start: answer }) => {
            let starts: BTreeMap<_, _> = partitions.iter().map(|a| (a.partition, start)).collect();
            answer.send(starts).unwrap();
            partitions
        }
        event => panic!("{event:?} before an assignment"),
    }
}

/// Reads `count` records of the one partition that has some. Returns it with the first offset and the values.
async fn read_group(group: &mut Box<dyn Group>, count: usize) -> (i32, i64, Vec<usize>) {
    let mut all = Vec::new();
    let mut first = None;
    while all.len() < count {
        match timeout(LIMIT, group.next()).await.expect("records in time") {
            Some(GroupEvent::Records { partition, records }) => {
                first.get_or_insert((partition, records[0].offset));
                all.extend(numbers(&records));
            }
            event => panic!("{event:?} instead of records"),
        }
    }
    let (partition, offset) = first.unwrap();
    (partition, offset, all)
}

/// Leaves properly: gives everything back, then ends.
async fn leave(mut group: Box<dyn Group>) {
    group.committer().leave();
    loop {
        match timeout(LIMIT, group.next()).await.expect("the end in time") {
            Some(GroupEvent::Revoked { done, .. }) => done.send(()).unwrap(),
            Some(GroupEvent::Records { .. } | GroupEvent::Assigned { .. }) => {}
            None => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_keep_their_order_for_tails_that_were_there() {
    for Case { broker, news, .. } in &cases().await {
        publish(broker, news, 0..10).await;
        let mut tails = [broker.tail(news).await.unwrap(), broker.tail(news).await.unwrap()];
        publish(broker, news, 10..MANY).await;
        for tail in &mut tails {
            let expect: Vec<_> = (10..MANY).collect();
            assert_eq!(read_tail(tail, MANY - 10).await, expect, "{broker:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_begins_where_it_is_told_and_goes_on_where_it_committed() {
    for Case { broker, log, .. } in &cases().await {
        publish(broker, log, 0..MANY).await;
        let mut group = broker.group(log, &format!("group-{log}")).await.unwrap();
        let assigned = accept(&mut group, Start::Earliest).await;
        assert!(assigned.iter().all(|one| one.committed.is_none()), "{assigned:?}");
        let (partition, offset, values) = read_group(&mut group, MANY).await;
        assert_eq!((offset, values), (0, (0..MANY).collect()), "{broker:?}");
        let committer = group.committer();
        committer.commit(partition, 4_000).await.unwrap();
        let lag: i64 = committer.lag().await.values().sum();
        assert_eq!(lag, i64::try_from(MANY).unwrap() - 4_000, "{broker:?}");
        leave(group).await;
        let refused = committer.commit(partition, 5_000).await;
        assert!(matches!(refused, Err(BrokerError::Refused(_))), "{broker:?}: {refused:?}");

        let mut group = broker.group(log, &format!("group-{log}")).await.unwrap();
        let assigned = accept(&mut group, Start::At(4_500)).await;
        let ours = assigned.iter().find(|one| one.partition == partition).unwrap();
        assert_eq!(ours.committed, Some(4_000), "{broker:?}");
        let (_, offset, values) = read_group(&mut group, MANY - 4_500).await;
        assert_eq!((offset, values), (4_500, (4_500..MANY).collect()), "{broker:?}");
        leave(group).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_woken_by_what_comes_later() {
    for Case { broker, log, .. } in &cases().await {
        let mut group = broker.group(log, &format!("group-{log}")).await.unwrap();
        accept(&mut group, Start::Earliest).await;
        for n in 0..20 {
            publish(broker, log, n..n + 1).await;
            assert_eq!(read_group(&mut group, 1).await.2, [n], "{broker:?}");
        }
        leave(group).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_missing_are_named() {
    for Case { broker, log, .. } in &cases().await {
        let nowhere: Arc<str> = "nowhere".into();
        let topics = [Arc::clone(log), Arc::clone(&nowhere)];
        assert_eq!(broker.missing_topics(&topics).await.unwrap(), [nowhere], "{broker:?}");
        assert!(broker.ping().await.unwrap() < LIMIT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_on_disk_keeps_what_it_reported_and_never_uses_an_offset_again() {
    let data = TempDir::new().unwrap();
    let (log, news): (Arc<str>, Arc<str>) = ("log".into(), "news".into());
    let open = async || {
        let location = Location::File(data.path().join("log.db"));
        let settings = embedded_settings(location, &log, &news);
        let broker: Arc<dyn Broker> = Arc::new(EmbeddedBroker::open(settings).await.unwrap());
        broker
    };
    let broker = open().await;
    publish(&broker, &log, 0..3_000).await;
    let mut group = broker.group(&log, "group").await.unwrap();
    accept(&mut group, Start::Earliest).await;
    read_group(&mut group, 3_000).await;
    // Everything is committed, hence trimmed, and on disk once a ping has gone through after the delay.
    group.committer().commit(0, 3_000).await.unwrap();
    leave(group).await;
    drop(broker);
    crate::world::eventually("the commit is on disk", LIMIT, async || {
        let mut group = open().await.group(&log, "group").await.unwrap();
        accept(&mut group, Start::Earliest).await[0].committed == Some(3_000)
    })
    .await;
    let broker = open().await;
    publish(&broker, &log, 3_000..3_010).await;
    drop(broker);
    let broker = open().await;
    let mut group = broker.group(&log, "group").await.unwrap();
    accept(&mut group, Start::At(0)).await;
    let (_, offset, values) = read_group(&mut group, 10).await;
    assert_eq!((offset, values), (3_000, (3_000..3_010).collect()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_kafka_refuses_quickly() {
    let mut settings = kafka_settings("127.0.0.1:1");
    settings.queue_records_max = 10;
    let broker = KafkaBroker::new(settings).unwrap();
    let topic: Arc<str> = "topic".into();
    let publisher = broker.publisher(Patience::Limited(Duration::from_millis(500))).unwrap();
    let started = Instant::now();
    let reports: Vec<_> =
        (0..10).map(|n| publisher.publish(record(&topic, "key", n)).unwrap()).collect();
    let full = publisher.publish(record(&topic, "key", 10)).err();
    assert!(matches!(full, Some(BrokerError::QueueFull)), "{full:?}");
    for report in reports {
        let error = timeout(LIMIT, report).await.unwrap().unwrap_err();
        assert!(matches!(error, BrokerError::TimedOut), "{error}");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(broker.ping().await.is_err());
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", Servers::shared().kafka_brokers).create().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_whose_topic_is_made_anew_says_so_and_reads_the_new_one() {
    let Case { news, .. } = cases().await.remove(0);
    let mut settings = kafka_settings(&Servers::shared().kafka_brokers);
    // Notices it several times while it turns to the new log.
    settings.topic_refresh = Duration::from_millis(1);
    let broker: Arc<dyn Broker> = Arc::new(KafkaBroker::new(settings).unwrap());
    let topic =
        TopicSpec { name: Arc::clone(&news), partitions: 3, replication: -1, settings: Vec::new() };
    let mut tail = broker.tail(&news).await.unwrap();
    for _ in 0..3 {
        publish(&broker, &news, 0..10).await;
        assert_eq!(read_tail(&mut tail, 10).await, (0..10).collect::<Vec<_>>());
        admin().delete_topics(&[&news], &AdminOptions::new()).await.unwrap();
        eventually("the topic is made again", LIMIT, async || {
            let made = broker.create_topics(std::slice::from_ref(&topic)).await;
            !made.is_ok_and(|made| made.is_empty())
        })
        .await;
        // One partition has the only key; the others are where they were.
        let event = timeout(LIMIT, tail.next()).await.unwrap();
        assert!(matches!(event, TailEvent::Gap { .. }), "{event:?}");
    }
    publish(&broker, &news, 0..10).await;
    assert_eq!(read_tail(&mut tail, 10).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_picks_new_partitions_up_from_their_beginning() {
    let Case { broker, news, .. } = cases().await.remove(0);
    let mut tail = broker.tail(&news).await.unwrap();
    let more = NewPartitions::new(&news, 12);
    admin().create_partitions(&[more], &AdminOptions::new()).await.unwrap();
    let publisher = broker.publisher(Patience::Limited(LIMIT)).unwrap();
    let mut seen = std::collections::HashSet::new();
    let mut sent = 0;
    let deadline = Instant::now() + LIMIT;
    while seen.len() < 12 {
        assert!(Instant::now() < deadline, "only partitions {seen:?}");
        publisher.publish(record(&news, &Uuid::new_v4().to_string(), sent)).unwrap().await.unwrap();
        sent += 1;
        if let Ok(TailEvent::Records(records)) =
            timeout(Duration::from_millis(20), tail.next()).await
        {
            seen.extend(records.iter().map(|record| record.partition));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_topic_does_not_hold_its_reader_up() {
    let Case { news, .. } = cases().await.remove(0);
    let mut settings = kafka_settings(&Servers::shared().kafka_brokers);
    // Always looking. On the reader's own connection each look waits for a fetch that has nothing to read: half a second.
    settings.topic_refresh = Duration::from_millis(1);
    let broker = KafkaBroker::new(settings).unwrap();
    let mut tail = broker.tail(&news).await.unwrap();
    let publisher = broker.publisher(Patience::Limited(LIMIT)).unwrap();
    let started = Instant::now();
    for n in 0..20 {
        publisher.publish(record(&news, "key", n)).unwrap().await.unwrap();
        let event = timeout(LIMIT, tail.next()).await.unwrap();
        assert!(matches!(event, TailEvent::Records(records) if records.len() == 1));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

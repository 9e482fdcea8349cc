//! The records of Kafka's topics, as any other service reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{BorrowedMessage, Headers as _},
};
use serde_json::Value;

use super::{
    observe::LOOK_LIMIT,
    records::{Record, as_heard, as_sent, changes, letter, record},
    world::World,
};
use crate::{
    contract::{DEAD_LETTERS, MEMBERSHIPS},
    deploy::Topics,
    history::Sent,
};

/// A record that is keyed by one of the scenario's rooms.
struct Kept {
    key: String,
    payload: Vec<u8>,
    headers: Vec<(String, String)>,
    partition: i32,
}

impl Kept {
    fn value(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_default()
    }
}

/// The `clientMsgId`s of the records of a topic that are keyed by the scenario's rooms; what is wrong with a record.
pub(super) async fn record_ids(world: &World, topic: &str) -> Result<Vec<String>, String> {
    let topics = world.site.kafka.clone().ok_or("no Kafka was given")?;
    let rooms: Vec<String> = world.rooms().into_iter().map(|(_, id)| id).collect();
    let name = format!("{}{topic}", topics.prefix);
    let reading = tokio::task::spawn_blocking(move || read(&topics, &name, &rooms)).await;
    let (records, partitions) = reading.unwrap_or_else(|error| Err(error.to_string()))?;
    let (drafts, heard, written) = (drafts(world), heard(world), world.written());
    let is_written = |kept: &Kept| {
        let [key, payload] = [kept.key.as_str(), &String::from_utf8_lossy(&kept.payload)];
        // A dead letter is the record as it was.
        written.iter().any(|[to, by, it]| {
            (to == topic || topic == DEAD_LETTERS) && [by, it] == [key, payload]
        })
    };
    let mut event_ids = BTreeSet::new();
    let began = world.recorder.history().began();
    let mut ids = Vec::new();
    for kept in &records {
        let (value, partition) = (kept.value(), kept.partition);
        let key = &kept.key;
        // What a step has written may be anything.
        if is_written(kept) {
            ids.push(id_of(&value));
            continue;
        }
        record(Record { topic, key, value: &value, partition, partitions, began })?;
        as_sent(topic, &value, &drafts)?;
        as_heard(topic, &value, &heard)?;
        if let Some(id) = value["eventId"].as_str()
            && !event_ids.insert(id.to_owned())
        {
            return Err(format!("two records of `{topic}` have the `eventId` {id}"));
        }
        ids.push(id_of(&value));
    }
    if topic == MEMBERSHIPS {
        let own = records.iter().filter(|kept| !is_written(kept));
        let values: Vec<Value> = own.map(Kept::value).collect();
        changes(&values, &members(world, &values).await)?;
    } else if topic == DEAD_LETTERS {
        for kept in &records {
            letter(&kept.key, &kept.payload, &kept.headers, &written)?;
        }
    }
    Ok(ids)
}

fn id_of(record: &Value) -> String {
    record["clientMsgId"].as_str().unwrap_or_default().to_lowercase()
}

/// What devices have sent, each with its sender's id as `senderId`.
fn drafts(world: &World) -> Vec<Value> {
    world.recorder.look(|story| {
        let sent = story.sent.iter().filter(|sent| sent.event == "sendMessage");
        let draft = |sent: &Sent| {
            let mut draft = sent.payload.clone();
            let sender = story.connections.get(&sent.connection)?;
            draft.as_object_mut()?.insert("senderId".to_owned(), sender.user.clone().into());
            Some(draft)
        };
        sent.filter_map(draft).collect()
    })
}

/// What devices have heard.
fn heard(world: &World) -> Vec<Value> {
    world.recorder.look(|story| story.deliveries.iter().map(|it| it.message.clone()).collect())
}

/// Who is in the rooms of these records, as one of the scenario is told; not the rooms that none of them is in.
async fn members(world: &World, records: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let rooms: BTreeSet<&str> = records.iter().filter_map(|it| it["roomId"].as_str()).collect();
    let mut all = BTreeMap::new();
    for room in rooms {
        let path = format!("/rooms/{room}/members");
        for (_, user) in world.actors() {
            if let Ok((200, list)) = world.call(user, "GET", &path, None, None).await {
                let ids =
                    list.as_array().into_iter().flatten().filter_map(|it| it["userId"].as_str());
                all.insert(room.to_owned(), ids.map(str::to_lowercase).collect());
                break;
            }
        }
    }
    all
}

/// The records of a topic that are keyed by one of these rooms, and how many partitions it has.
fn read(topics: &Topics, topic: &str, rooms: &[String]) -> Result<(Vec<Kept>, usize), String> {
    let failed = |error: rdkafka::error::KafkaError| format!("Kafka says: {error}");
    let deadline = Instant::now() + LOOK_LIMIT;
    let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &topics.brokers)
        .set("group.id", "harness")
        .set("enable.auto.commit", "false")
        .create()
        .map_err(failed)?;
    let metadata = consumer.fetch_metadata(Some(topic), left()).map_err(failed)?;
    let known = metadata.topics().first().filter(|it| it.error().is_none());
    let partitions = known.map(|it| it.partitions().len()).unwrap_or_default();
    if partitions == 0 {
        return Err(format!("there is no topic `{topic}`"));
    }
    let mut assigned = TopicPartitionList::new();
    let mut missing = 0;
    for partition in 0..i32::try_from(partitions).unwrap_or_default() {
        let (low, high) = consumer.fetch_watermarks(topic, partition, left()).map_err(failed)?;
        missing += high - low;
        if high > low {
            assigned.add_partition_offset(topic, partition, Offset::Offset(low)).map_err(failed)?;
        }
    }
    consumer.assign(&assigned).map_err(failed)?;
    let mut records = Vec::new();
    while missing > 0 {
        let Some(found) = consumer.poll(left()) else {
            return Err(format!("{missing} records did not come"));
        };
        let found = found.map_err(failed)?;
        missing -= 1;
        let key = String::from_utf8_lossy(found.key().unwrap_or_default());
        if rooms.iter().any(|room| *room == key) {
            records.push(kept(&found));
        }
    }
    Ok((records, partitions))
}

fn kept(record: &BorrowedMessage<'_>) -> Kept {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
    Kept {
        key: text(record.key()),
        payload: record.payload().unwrap_or_default().to_vec(),
        headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
        partition: record.partition(),
    }
}

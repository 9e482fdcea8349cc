//! The step in which another program writes a record into a topic.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};

use serde_json::{Value, json};

use super::{
    steps::{Running, StepResult, wrong},
    world::Named,
};
use crate::scenario::Publish;

/// How long Kafka may take to keep a record.
const PUBLISH_LIMIT: Duration = Duration::from_secs(10);

impl Running<'_> {
    pub(super) async fn publish(&self, publish: &Publish) -> StepResult {
        let topic = &publish.topic.value;
        let expected = format!("Kafka takes a record for `{topic}`");
        let written = self.write(publish).await;
        written.map(|()| None).map_err(|why| wrong(expected, why))
    }

    async fn write(&self, publish: &Publish) -> Result<(), String> {
        let topics = self.world.site.kafka.as_ref().ok_or("no Kafka was given")?;
        let key = self.world.fill(&publish.key.value)?;
        let value = self.world.fill_json(&publish.value.value, "")?;
        if let Some(name) = &publish.name {
            self.world.name_messages(&name.value, vec![message_of(&value)]);
        }
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.world.writes(&publish.topic.value, &key, &value);
        let topic = format!("{}{}", topics.prefix, publish.topic.value);
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &topics.brokers)
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", PUBLISH_LIMIT.as_millis().to_string())
            .create()
            .map_err(|error| format!("Kafka says: {error}"))?;
        let record = FutureRecord::to(&topic).key(&key).payload(&value);
        let sent = producer.send(record, PUBLISH_LIMIT).await;
        // Its end waits for its threads.
        drop(tokio::task::spawn_blocking(move || drop(producer)).await);
        sent.map(|_| ()).map_err(|(error, _)| format!("Kafka says: {error}"))
    }
}

/// The message that a record is.
fn message_of(record: &Value) -> Named {
    let id = |field: &str| record[field].as_str().unwrap_or_default().to_lowercase();
    let (room, sender, client_msg_id) = (id("roomId"), id("senderId"), id("clientMsgId"));
    let kind = record["messageType"].as_str().unwrap_or("TEXT");
    let payload = json!({
        "roomId": record["roomId"],
        "clientMsgId": record["clientMsgId"],
        "type": kind,
        "content": record["content"],
    });
    Named { room, sender, client_msg_id, payload }
}

//! Topics: which exist, and making those that do not.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::Client,
    error::RDKafkaErrorCode,
    metadata::{MetadataPartition, MetadataTopic},
};
use tokio::time::sleep;

use super::{KafkaSettings, REQUEST_TIMEOUT, Watched, blocking, broker_error};
use crate::broker::{BrokerError, TopicSpec};

/// How long a new topic may take to be seen.
const VISIBLE_LIMIT: Duration = Duration::from_secs(10);

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(super) type Admin = AdminClient<Watched>;

pub(super) fn admin(settings: &KafkaSettings) -> Result<Admin, BrokerError> {
    let mut config = settings.client_config();
    // Nobody takes an admin client's statistics out of its queue: they would pile up for ever.
    config.set("statistics.interval.ms", "0");
    let admin = config.create_with_context(Watched::default());
    admin.map_err(|error| BrokerError::Refused(error.to_string()))
}

/// The topics that exist. A cluster that knows none of its brokers has not really answered.
pub(super) async fn metadata(admin: &Arc<Admin>) -> Result<HashSet<String>, BrokerError> {
    let admin = Arc::clone(admin);
    blocking(move || {
        let metadata = admin.inner().fetch_metadata(None, REQUEST_TIMEOUT);
        let metadata = metadata.map_err(|error| broker_error(&error))?;
        if metadata.brokers().is_empty() {
            return Err(BrokerError::Unavailable("the cluster has no broker yet".to_owned()));
        }
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    })
    .await
}

pub(super) async fn missing(
    admin: &Arc<Admin>,
    topics: &[Arc<str>],
) -> Result<Vec<Arc<str>>, BrokerError> {
    let existing = metadata(admin).await?;
    Ok(topics.iter().filter(|topic| !existing.contains(&***topic)).cloned().collect())
}

/// The partitions of a topic. Blocks.
pub(super) fn partitions<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
) -> Result<Vec<i32>, BrokerError> {
    let metadata = client.fetch_metadata(Some(topic), REQUEST_TIMEOUT);
    let metadata = metadata.map_err(|error| broker_error(&error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions: Vec<_> =
        found.into_iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id).collect();
    if partitions.is_empty() {
        return Err(BrokerError::Unavailable(format!("topic `{topic}` does not exist")));
    }
    Ok(partitions)
}

/// The first offset and the one after the last, of each partition of a topic. Blocks.
pub(super) fn watermarks<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
) -> Result<BTreeMap<i32, (i64, i64)>, BrokerError> {
    let mut watermarks = BTreeMap::new();
    for partition in partitions(client, topic)? {
        let found = client.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
        watermarks.insert(partition, found.map_err(|error| broker_error(&error))?);
    }
    Ok(watermarks)
}

/// Whether each partition of these topics has a leader that answers: one is named before it knows of it.
async fn are_led(admin: &Arc<Admin>, topics: &[Arc<str>]) -> Result<bool, BrokerError> {
    let (admin, topics) = (Arc::clone(admin), topics.to_vec());
    blocking(move || {
        let mut asked = topics.iter().map(|topic| watermarks(admin.inner(), topic));
        let is_led =
            |asked: Result<_, BrokerError>| !matches!(asked, Err(BrokerError::Unavailable(_)));
        Ok(asked.all(is_led))
    })
    .await
}

/// Creates what is missing and waits until it can be used.
pub(super) async fn create(
    admin: &Arc<Admin>,
    topics: &[TopicSpec],
) -> Result<Vec<Arc<str>>, BrokerError> {
    let names: Vec<_> = topics.iter().map(|topic| Arc::clone(&topic.name)).collect();
    let missing_names = missing(admin, &names).await?;
    let new: Vec<_> = topics
        .iter()
        .filter(|topic| missing_names.contains(&topic.name))
        .map(|topic| {
            let replication = TopicReplication::Fixed(topic.replication);
            let new = NewTopic::new(&topic.name, topic.partitions, replication);
            topic.settings.iter().fold(new, |new, (name, value)| new.set(name, value))
        })
        .collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let results =
        admin.create_topics(&new, &options).await.map_err(|error| broker_error(&error))?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                return Err(BrokerError::Refused(format!("topic `{name}`: {code}")));
            }
        }
    }
    let seen = async {
        while !missing(admin, &names).await?.is_empty() || !are_led(admin, &missing_names).await? {
            sleep(LOOK_AGAIN).await;
        }
        Ok(missing_names)
    };
    match tokio::time::timeout(VISIBLE_LIMIT, seen).await {
        Ok(result) => result,
        Err(_) => Err(BrokerError::Unavailable("new topics cannot be used yet".to_owned())),
    }
}

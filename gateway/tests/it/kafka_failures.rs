//! Producers that fail for good, as only a broken cluster makes them: librdkafka's own test cluster plays it.

use std::time::Duration;

use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext, types::RDKafkaRespErr};

use crate::{
    load::Load,
    process::Settings,
    world::{World, eventually, isolated},
};

const PARTITIONS: i32 = 4;

/// A gateway and a worker on a cluster that can be told to fail.
async fn on_a_cluster_to_break() -> (MockCluster<'static, DefaultProducerContext>, World) {
    let cluster = MockCluster::new(1).unwrap();
    let settings =
        isolated(Settings::new()).await.with("KAFKA_BROKERS", cluster.bootstrap_servers());
    for topic in ["MESSAGES", "PERSISTED", "MEMBERSHIPS", "DEAD_LETTERS"] {
        let topic = settings.get(&format!("KAFKA_TOPIC_{topic}"));
        cluster.create_topic(&topic, PARTITIONS, 1).unwrap();
    }
    let world = World::real_with(1, 1, settings);
    (cluster, world)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_fails_for_good_is_replaced_and_nothing_accepted_is_lost() {
    let (cluster, world) = on_a_cluster_to_break().await;
    let load = Load::start(&world, 2, 2).await;
    load.hears_more(50).await;
    let has_failed = |log: &str| log.contains("the Kafka producer failed for good");
    // The next request to come meets the error: that of the gateway's producer or that of the worker's.
    eventually("both have lost a producer", Duration::from_mins(1), async || {
        let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        cluster.request_errors(rdkafka::types::RDKafkaApiKey::Produce, &[error]);
        load.hears_more(20).await;
        has_failed(&world.gateway().log()) && has_failed(&world.workers[0].log())
    })
    .await;
    let (accepted, refused) = load.finish(&world).await;
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
}

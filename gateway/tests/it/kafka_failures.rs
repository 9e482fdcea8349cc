//! Producers that fail for good, as only a broken cluster makes them: librdkafka's own test cluster plays it.

use std::time::Duration;

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use tokio::time::sleep;

use crate::{
    load::Load,
    process::{Process, Settings},
    world::{World, eventually, isolated},
};

const PARTITIONS: i32 = 4;

const LIMIT: Duration = Duration::from_mins(1);

/// In the test cluster a fetch that waits is not woken by a record: this is librdkafka's default.
const FETCH_WAIT: Duration = Duration::from_millis(500);

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

/// Has the next produce request refused in a way after which a producer is useless.
fn fail_next(cluster: &MockCluster<'static, DefaultProducerContext>) {
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
}

fn has_failed(process: &Process) -> bool {
    process.log().contains("the Kafka producer failed for good")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_fails_for_good_is_replaced_and_nothing_accepted_is_lost() {
    let (cluster, world) = on_a_cluster_to_break().await;
    let load = Load::start(&world, 2, 2).await;
    load.hears_more(50).await;
    // The next request to come meets the error. Of the gateway, which sends most of them:
    fail_next(&cluster);
    eventually("the gateway has lost a producer", LIMIT, async || has_failed(world.gateway()))
        .await;
    load.hears_more(20).await;
    // Of the worker, which goes on with what is in the log while the gateway stands still:
    eventually("the worker has lost a producer", LIMIT, async || {
        load.hears_more(1).await;
        world.gateway().signal("STOP");
        fail_next(&cluster);
        sleep(FETCH_WAIT * 2).await;
        cluster.clear_request_errors(RDKafkaApiKey::Produce);
        world.gateway().signal("CONT");
        has_failed(&world.workers[0])
    })
    .await;
    load.hears_more(20).await;
    let (accepted, refused) = load.finish(&world).await;
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
}

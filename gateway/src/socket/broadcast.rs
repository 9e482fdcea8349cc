//! Persisted records to the sockets of their rooms. Nothing else ever emits to a room.

use tokio::task::consume_budget;

use super::edge::Edge;
use crate::{
    broker::{Tail, TailEvent},
    protocol::records::decode_persisted,
};

/// How long the closing of all sockets is spread out after a gap in the log.
const GAP_CLOSE: std::time::Duration = std::time::Duration::from_secs(10);

/// Reads to the end of the process.
pub(super) async fn run(edge: Edge, mut persisted: Box<dyn Tail>) {
    loop {
        match persisted.next().await {
            TailEvent::Records(records) => {
                for record in records {
                    // A full batch to large rooms must not hold up everything else on this thread.
                    consume_budget().await;
                    match decode_persisted(record.value.as_deref()) {
                        Ok(message) => {
                            let sent = edge.rooms.broadcast(record.partition, &message);
                            metrics::counter!("broadcasts_total").increment(1);
                            metrics::counter!("deliveries_total").increment(sent as u64);
                        }
                        Err(error) => tracing::error!(
                            %error,
                            kafka.partition = record.partition,
                            kafka.offset = record.offset,
                            "skipped a persisted record that is not one: {error}"
                        ),
                    }
                }
            }
            TailEvent::Gap { partition } => {
                metrics::counter!("tail_gaps_total").increment(1);
                tracing::error!(
                    kafka.partition = partition,
                    "the log no longer has what follows in partition {partition}: closing the sockets, so that they catch up"
                );
                edge.close_all_apart(GAP_CLOSE);
            }
        }
    }
}

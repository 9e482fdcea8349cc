//! Publishes without gaps: in order, until the brokers hold every record.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::broker::{BrokerError, Outgoing, Publisher};

/// How long to wait for room in the producer's queue, or for a producer that failed to be replaced.
const RETRY: Duration = Duration::from_millis(20);

/// A publisher that never gives up. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    publisher: Arc<dyn Publisher>,
}

impl Ordered {
    pub(super) fn new(publisher: Arc<dyn Publisher>) -> Self {
        Self { publisher }
    }

    /// Returns when every record is held. After a failure it starts again from the first record that is not:
    /// a later one that made it is then there twice, which readers do not see, but none is missing.
    pub(super) async fn publish(&self, records: &[Outgoing]) -> Result<(), BrokerError> {
        let mut held = 0;
        while held < records.len() {
            let mut reports = Vec::with_capacity(records.len() - held);
            for record in &records[held..] {
                match self.publisher.publish(record.clone()) {
                    Ok(report) => reports.push(report),
                    Err(BrokerError::Refused(reason)) => return Err(BrokerError::Refused(reason)),
                    // The rest goes when these are through.
                    Err(_) => break,
                }
            }
            if reports.is_empty() {
                sleep(RETRY).await;
            }
            for report in reports {
                match report.await {
                    Ok(()) => held += 1,
                    Err(BrokerError::Refused(reason)) => return Err(BrokerError::Refused(reason)),
                    Err(error) => {
                        tracing::warn!(%error, "publishing again from the first record that is not held: {error}");
                        sleep(RETRY).await;
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

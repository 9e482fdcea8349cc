//! Publishes without gaps: in order, until the brokers hold every record.

use std::sync::Arc;

use super::Backoff;
use crate::broker::{BrokerError, Outgoing, Publisher};

/// A publisher that never gives up. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    publisher: Arc<dyn Publisher>,
}

impl Ordered {
    pub(super) fn new(publisher: Arc<dyn Publisher>) -> Self {
        Self { publisher }
    }

    /// Returns when every record is held or refused for good; those that were refused, by their place, with the
    /// reason. After a failure it starts again from the first record that is neither: a later one that made it is
    /// then there twice, which readers do not see, but none is missing. Cancel safe in that sense.
    pub(super) async fn publish(&self, records: &[Outgoing]) -> Vec<(usize, String)> {
        let mut backoff = Backoff::new("records to be published");
        let mut refused = Vec::new();
        let mut done = 0;
        while done < records.len() {
            let mut failure = None;
            for queued in self.publisher.publish_all(&records[done..]) {
                let outcome = match queued {
                    Ok(report) => report.await,
                    Err(error) => Err(error),
                };
                match outcome {
                    Ok(()) => {}
                    Err(BrokerError::Refused(reason)) => refused.push((done, reason)),
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
                done += 1;
            }
            match failure {
                Some(error) => backoff.failed(&error).await,
                None => backoff.succeeded(),
            }
        }
        refused
    }
}

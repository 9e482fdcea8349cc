use super::*;
#[derive(Debug)]
pub struct KafkaBroker;
#[derive(Debug)]
pub struct KafkaSettings {
    pub brokers: String,
    pub client_id: String,
    pub security: Vec<(String, String)>,
    pub linger: Duration,
    pub queue_records_max: usize,
    pub session_timeout: Duration,
    pub topic_refresh: Duration,
}
impl KafkaBroker {
    pub fn new(_: KafkaSettings) -> Result<EmbeddedBroker, BrokerError> {
        unimplemented!()
    }
}

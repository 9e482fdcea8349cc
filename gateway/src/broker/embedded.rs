use super::*;
#[derive(Debug)]
pub struct EmbeddedBroker;
#[derive(Debug)]
pub struct EmbeddedSettings {
    pub location: Location,
    pub durable: bool,
    pub queue_records_max: usize,
    pub topics: Vec<EmbeddedTopic>,
}
#[derive(Debug)]
pub struct EmbeddedTopic {
    pub name: Arc<str>,
    pub kept: Kept,
}
#[derive(Debug, Clone, Copy)]
pub enum Kept {
    UntilCommitted,
    InMemory { records_max: usize },
    Forever,
}
#[derive(Debug)]
pub enum Location {
    Memory,
    File(std::path::PathBuf),
}
impl EmbeddedBroker {
    pub async fn open(_: EmbeddedSettings) -> Result<Self, BrokerError> {
        unimplemented!()
    }
}
#[async_trait]
impl Broker for EmbeddedBroker {
    fn publisher(&self, _: Patience) -> Result<Arc<dyn Publisher>, BrokerError> {
        unimplemented!()
    }
    async fn tail(&self, _: &str) -> Result<Box<dyn Tail>, BrokerError> {
        unimplemented!()
    }
    async fn group(&self, _: &str, _: &str) -> Result<Box<dyn Group>, BrokerError> {
        unimplemented!()
    }
    async fn create_topics(&self, _: &[TopicSpec]) -> Result<Vec<Arc<str>>, BrokerError> {
        unimplemented!()
    }
    async fn missing_topics(&self, _: &[Arc<str>]) -> Result<Vec<Arc<str>>, BrokerError> {
        unimplemented!()
    }
    async fn ping(&self) -> Result<Duration, BrokerError> {
        unimplemented!()
    }
}

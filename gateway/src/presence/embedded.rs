use super::*;
#[derive(Debug)]
pub struct EmbeddedPresence;
impl EmbeddedPresence {
    pub fn new(_: Duration, _: Duration) -> Self {
        unimplemented!()
    }
}
#[async_trait]
impl Presence for EmbeddedPresence {
    async fn apply(&self, _: &[Command]) -> Result<(), PresenceError> {
        unimplemented!()
    }
    async fn sockets(&self, _: UserId) -> Result<Vec<Entry>, PresenceError> {
        unimplemented!()
    }
    async fn take_lease(&self, _: &str, _: DateTime<Utc>) -> Result<(), PresenceError> {
        unimplemented!()
    }
    async fn renew_lease(&self, _: &str, _: DateTime<Utc>) -> Result<Lease, PresenceError> {
        unimplemented!()
    }
    async fn release_lease(&self, _: &str, _: DateTime<Utc>) -> Result<(), PresenceError> {
        unimplemented!()
    }
    async fn ping(&self) -> Result<Duration, PresenceError> {
        unimplemented!()
    }
}

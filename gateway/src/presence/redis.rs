use super::*;
#[derive(Debug)]
pub struct RedisPresence;
#[derive(Debug)]
pub struct RedisSettings {
    pub url: String,
    pub ttl: Duration,
    pub lease: Duration,
    pub timeout: Duration,
}
impl RedisPresence {
    pub fn new(_: RedisSettings) -> Result<EmbeddedPresence, PresenceError> {
        unimplemented!()
    }
}

use super::*;
use std::sync::Arc;
#[derive(Debug, Clone)]
pub struct Registrar;
#[derive(Debug)]
pub struct RegistrarSettings;
impl RegistrarSettings {
    pub fn new(_: String, _: Duration, _: Duration) -> Self {
        Self
    }
}
impl Registrar {
    pub fn start(
        _: Arc<dyn Presence>,
        _: RegistrarSettings,
        _: &crate::shutdown::Shutdown,
    ) -> Self {
        Self
    }
    pub fn connected(&self, _: UserId, _: SocketId, _: DateTime<Utc>) {}
    pub fn heartbeat(&self, _: UserId, _: &SocketId) {}
    pub fn disconnected(&self, _: UserId, _: &SocketId) {}
    pub async fn close(&self, _: Duration) {}
}

use super::*;
#[derive(Debug)]
pub struct SqliteStore;
#[derive(Debug)]
pub struct SqliteOptions {
    pub location: Location,
    pub durable: bool,
}
#[derive(Debug)]
pub enum Location {
    Memory,
    File(std::path::PathBuf),
}
impl SqliteStore {
    pub async fn open(_: SqliteOptions) -> Result<Self, StoreError> {
        unimplemented!()
    }
    pub async fn open_url(_: &str, _: bool) -> Result<Self, StoreError> {
        unimplemented!()
    }
}
#[async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
    async fn is_migrated(&self) -> Result<bool, StoreError> {
        unimplemented!()
    }
    async fn ping(&self) -> Result<Duration, StoreError> {
        unimplemented!()
    }
    async fn create_room(
        &self,
        _: &RoomName,
        _: UserId,
    ) -> Result<(Room, OutboxEntry), StoreError> {
        unimplemented!()
    }
    async fn rooms_of(&self, _: UserId) -> Result<Vec<Room>, StoreError> {
        unimplemented!()
    }
    async fn join(&self, _: RoomId, _: UserId) -> Result<Joined, StoreError> {
        unimplemented!()
    }
    async fn leave(&self, _: RoomId, _: UserId) -> Result<Left, StoreError> {
        unimplemented!()
    }
    async fn is_member(&self, _: RoomId, _: UserId) -> Result<bool, StoreError> {
        unimplemented!()
    }
    async fn members(&self, _: RoomId) -> Result<Vec<Member>, StoreError> {
        unimplemented!()
    }
    async fn messages(&self, _: RoomId, _: Page) -> Result<Vec<Message>, StoreError> {
        unimplemented!()
    }
    async fn message_exists(&self, _: RoomId, _: MessageId) -> Result<bool, StoreError> {
        unimplemented!()
    }
    async fn newest_ids(&self, _: &[RoomId]) -> Result<HashMap<RoomId, MessageId>, StoreError> {
        unimplemented!()
    }
    async fn position(&self, _: &str, _: i32) -> Result<Option<i64>, StoreError> {
        unimplemented!()
    }
    async fn persist(&self, _: Batch<'_>) -> Result<Persisted, StoreError> {
        unimplemented!()
    }
    async fn outbox(&self, _: Duration, _: u32) -> Result<Vec<OutboxEntry>, StoreError> {
        unimplemented!()
    }
    async fn outbox_remove(&self, _: &[i64]) -> Result<(), StoreError> {
        unimplemented!()
    }
}

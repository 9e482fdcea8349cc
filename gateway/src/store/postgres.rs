use super::*;
#[derive(Debug)]
pub struct PostgresStore;
#[derive(Debug)]
pub struct PostgresOptions {
    pub pool_connections_max: u32,
    pub call_timeout: Duration,
}
impl PostgresStore {
    pub fn connect(_: &str, _: PostgresOptions) -> Result<SqliteStore, StoreError> {
        unimplemented!()
    }
}

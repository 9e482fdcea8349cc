//! Where the real servers are.

/// `KAFKA_BROKERS` of the stack that runs.
pub(crate) fn kafka_brokers() -> String {
    required("KAFKA_BROKERS")
}

/// `REDIS_URL` of the stack that runs.
pub(crate) fn redis_url() -> String {
    required("REDIS_URL")
}

/// `DATABASE_URL` of the stack that runs.
pub(crate) fn database_url() -> String {
    required("DATABASE_URL")
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests learn from the environment where the servers are"
)]
fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "`{name}` is not set: run `eval \"$(cargo run -p harness -- stack up --env)\"` first"
        )
    })
}

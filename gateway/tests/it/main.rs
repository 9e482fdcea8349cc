//! The gateway against the contract, on real servers. `script/test` starts them; by hand:
//! `eval "$(cargo run -p harness -- stack up --env)"`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod broker_conformance;
mod cli;
mod client;
mod connect;
mod deploy;
mod events;
mod failover;
mod faults;
mod frozen;
mod full_disk;
mod http;
mod kafka_failures;
mod keys;
mod life;
mod load;
mod malformed;
mod membership;
mod order;
mod people;
mod persistor;
mod presence_conformance;
mod process;
mod reconnect;
mod servers;
mod standalone;
mod stock_client;
mod store_conformance;
mod takeover;
mod wire;
mod world;

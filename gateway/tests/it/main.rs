//! The gateway against the contract, on real servers. `script/test` starts them; by hand:
//! `eval "$(cargo run -p harness -- stack up --env)"`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod broker_conformance;
mod cli;
mod client;
mod connect;
mod deploy;
mod events;
mod faults;
mod http;
mod load;
mod malformed;
mod membership;
mod order;
mod people;
mod persistor;
mod presence_conformance;
mod process;
mod servers;
mod standalone;
mod store_conformance;
mod wire;
mod world;

//! The gateway against the contract, on real servers. `script/test` starts them; by hand:
//! `eval "$(cargo run -p harness -- stack up --env)"`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod servers;
mod store_conformance;

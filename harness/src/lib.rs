//! Runs multi-device chat scenarios against gateways, and the servers they need. Shares no code with the gateway, so that
//! a mistake there cannot hide here.

mod plural;
pub mod contract;
pub mod files;
pub mod scenario;
pub mod format;
pub mod coverage;
pub mod lint;
pub mod history;
pub mod check;
pub mod wire;
pub mod client;
pub mod verdict;
pub mod known;
pub mod generate;
pub mod report;
pub mod stack;
pub mod deploy;
pub mod engine;
pub mod runner;
pub mod snapshot;
pub mod doctor;
pub mod scaffold;
pub mod cli;

//! Runs multi-device chat scenarios against gateways, and the servers they need. Shares no code with the gateway, so that
//! a mistake there cannot hide here.

pub mod scenario;
pub mod lint;
pub mod history;
pub mod check;
pub mod stack;
pub mod cli;

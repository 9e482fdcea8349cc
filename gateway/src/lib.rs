//! A Socket.IO chat gateway.
//!
//! Modules are listed bottom-up, and a module may only import modules listed above it.
//! `tests/tidy.rs` enforces this.

pub mod chat;
pub mod protocol;
pub mod shutdown;
pub mod config;
pub mod store;
pub mod broker;
pub mod presence;
pub mod error;
pub mod authenticate;
pub mod authorise;
pub mod publish;
pub mod state;
pub mod handlers;
pub mod socket;
pub mod http;
pub mod persistor;
pub mod telemetry;
pub mod app;

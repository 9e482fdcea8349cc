//! A Socket.IO chat gateway.
//!
//! Modules are listed bottom-up, and a module may only import modules listed above it.
//! `tests/tidy.rs` enforces this.

pub mod chat;
pub mod shutdown;
pub mod store;

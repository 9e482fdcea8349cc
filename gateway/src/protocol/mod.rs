//! The wire: Socket.IO events and acks, Kafka records, HTTP bodies. Shapes only, no behaviour.
//!
//! Converts between bytes and [`crate::chat`] types. Knows no client, no database, no socket.

pub mod acks;
pub mod events;
pub mod http;
pub mod records;
mod time;

pub use time::{format_time, parse_time};

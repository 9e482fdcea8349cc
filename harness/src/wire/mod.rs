//! The wire between a device and its gateway: a TCP proxy for each device, which breaks the network when asked to and
//! writes every packet that goes through it into the history, whichever client library made it.
//!
//! Owns what was really said. Refuses to trust what clients report.

mod frames;
mod http;
mod link;
mod network;
mod tap;

pub use link::Link;
pub use network::NetworkChange;

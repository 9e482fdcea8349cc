//! The programs that speak for devices. They are told what to do; what they did is read from the wire.
//!
//! Three drivers: our own (`raw`), `rust_socketio` (`rust`), and any program that speaks the line protocol of
//! `clients/README.md` (`process`), such as the stock JavaScript client.

mod process;
mod raw;
mod rust;

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::Value;

use crate::scenario::{Client as Kind, Transport};

/// Why a device's program could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No transport: refused before or during the handshake.
    #[error("{0}")]
    Refused(String),
    /// It was connected and is no more.
    #[error("the connection is gone")]
    Gone,
    /// It is connected, and nothing that is written goes out.
    #[error("what it writes does not go out")]
    Stuck,
    /// The machine lacks what the program needs.
    #[error("{0}")]
    Lacking(String),
    /// This driver hides what is asked for.
    #[error("{0}")]
    Unable(&'static str),
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// The device's proxy.
    pub address: SocketAddr,
    pub transport: Transport,
    /// Whether it answers pings.
    pub pongs: bool,
    /// The payload of CONNECT.
    pub auth: Option<Value>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

/// A running program of a device.
#[derive(Debug)]
pub enum Client {
    Raw(raw::Raw),
    Rust(rust::Rust),
    Process(Box<process::Process>),
}

impl Client {
    /// Starts a program and lets it connect; returns when it has asked to, the answer may be still to come.
    pub async fn connect(kind: Kind, options: &Options) -> Result<Self, ClientError> {
        Ok(match kind {
            Kind::Raw => Self::Raw(raw::Raw::connect(options).await?),
            Kind::Rust => Self::Rust(rust::Rust::connect(options).await?),
            Kind::Js => Self::Process(Box::new(process::Process::connect(options).await?)),
        })
    }

    /// Sends an event. Returns before its ack.
    pub async fn emit(
        &mut self,
        event: &str,
        payload: &Value,
        wants_ack: bool,
    ) -> Result<(), ClientError> {
        match self {
            Self::Raw(raw) => raw.emit(event, payload, wants_ack).await,
            Self::Rust(rust) => rust.emit(event, payload, wants_ack).await,
            Self::Process(process) => process.emit(event, payload, wants_ack).await,
        }
    }

    /// Sends an Engine.IO packet as it is.
    pub async fn frame(&mut self, packet: &str) -> Result<(), ClientError> {
        match self {
            Self::Raw(raw) => raw.send(packet.to_owned()).await,
            Self::Rust(_) | Self::Process(_) => Err(ClientError::Unable(
                "only a device with `client: raw` sends frames as they are",
            )),
        }
    }

    /// Whether several acks may be waited for at once: `rust_socketio` picks their ids at random, of a thousand.
    pub fn keeps_acks_apart(&self) -> bool {
        !matches!(self, Self::Rust(_))
    }

    /// Says goodbye and ends.
    pub async fn disconnect(self) {
        match self {
            Self::Raw(raw) => raw.disconnect().await,
            Self::Rust(rust) => rust.disconnect().await,
            Self::Process(process) => process.disconnect().await,
        }
    }
}

/// The libraries behind the drivers and their versions; `None`: it is not installed.
pub async fn versions() -> BTreeMap<&'static str, Option<String>> {
    BTreeMap::from([
        ("rust_socketio", Some(rust::VERSION.to_owned())),
        ("socket.io-client", process::library_version()),
        ("node", process::node_version().await),
    ])
}

/// What the driver of such a device lacks here, and how to get it; `None`: nothing.
pub async fn lacking(kind: Kind) -> Option<String> {
    match kind {
        Kind::Raw | Kind::Rust => None,
        Kind::Js => process::lacking().await,
    }
}

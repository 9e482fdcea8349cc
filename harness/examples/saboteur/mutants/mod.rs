//! The mutants: each does one thing wrong. Named after it, and listed with the rule that it breaks in `tests/mutants.rs`.

mod acks;
mod backends;
mod connect;
mod deliveries;
mod engine;
mod fields;
mod history;
mod http;
mod members;
mod presence;
mod processes;
mod retries;
mod sends;

use std::{pin::Pin, sync::Arc};

pub(crate) use backends::{OUTLIVING, keep_lease};

use crate::{
    gate::{Gate, Socket},
    packets::{Ack, Event, Message, Out},
    proxy::{Asked, Reply},
};

/// A gateway that does one thing wrong.
#[derive(Debug)]
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    pub(crate) faults: &'static [Fault],
}

/// What runs beside the proxy, for ever.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where it is done. Of several that fit a packet the first one counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// A `newMessage` on its way to a socket.
    Delivery(fn(&Gate, &Socket, Message) -> Vec<Out>),
    /// An ack on its way to a socket.
    Ack(fn(&Gate, &Socket, Ack) -> Vec<Out>),
    /// An event of a socket.
    Event(fn(&Gate, &Socket, Event) -> Vec<Out>),
    /// Any packet to a socket.
    Down(fn(&Gate, &Socket, String) -> Vec<Out>),
    /// Any packet of a socket.
    Up(fn(&Gate, &Socket, String) -> Vec<Out>),
    /// A request over HTTP that is not Socket.IO's.
    Request(fn(&Gate, &mut Asked)),
    /// Its reply.
    Reply(fn(&Gate, &Asked, &mut Reply)),
    /// Beside everything else, in Redis or Kafka.
    Background(fn(Arc<Gate>) -> Task),
    /// The exit code after SIGTERM.
    Exit(u8),
}

impl Mutant {
    /// All of them; first the one that does nothing wrong.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        const CONTROL: &[Mutant] = &[Mutant { name: "control", faults: &[] }];
        [
            CONTROL,
            deliveries::MUTANTS,
            fields::MUTANTS,
            members::MUTANTS,
            acks::MUTANTS,
            sends::MUTANTS,
            connect::MUTANTS,
            engine::MUTANTS,
            history::MUTANTS,
            http::MUTANTS,
            presence::MUTANTS,
            backends::MUTANTS,
            processes::MUTANTS,
            retries::MUTANTS,
        ]
        .into_iter()
        .flatten()
    }
}

/// A number that follows from a text, for mutants that are wrong now and then.
fn dice(text: &str, sides: u64) -> u64 {
    text.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % sides
}

/// Whether an id is not in lower case.
fn is_shouted(id: &str) -> bool {
    id != id.to_lowercase()
}

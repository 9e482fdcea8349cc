//! Everything that was seen in a run, in order: every frame of every connection, every step and fault. Append-only.
//!
//! Owns what happened. Refuses to judge it: `check` does, and reads nothing else.

mod names;
mod recorder;
mod seen;
mod story;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Serialize, Serializer};

pub use names::{IdNames, gateway_of, letter_case};
pub use recorder::Recorder;
pub use seen::{Connection, Delivery, Inside, PresenceSeen, Sent};
pub use story::Story;
pub(crate) use story::id_and_json;

/// One connection of one device: a device that reconnects has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ConnectionId(pub u32);

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Since the run began; in JSON seconds.
    #[serde(serialize_with = "in_seconds")]
    pub at: Duration,
    #[serde(flatten)]
    pub what: What,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// A transport is open; nothing was said yet.
    Opened {
        connection: ConnectionId,
        device: String,
        user: String,
        gateway: String,
        /// By long-polling; it may be upgraded later.
        is_polling: bool,
    },
    /// A device sent an Engine.IO packet.
    Sent { connection: ConnectionId, packet: String },
    /// A device received one.
    Received { connection: ConnectionId, packet: String },
    /// The transport is gone. `by_gateway`: the gateway has ended it, not the device or its network.
    Closed { connection: ConnectionId, by_gateway: bool },
    /// A gateway ended its side of a connection whose device hears nothing any more: it has noticed.
    GivenUp { device: String, gateway: String },
    /// At the end this connection still polls, and was to go over to a WebSocket long ago.
    StillPolls { connection: ConnectionId },
    /// A user's request over HTTP was answered; `status` 0: it was not.
    Called {
        user: String,
        gateway: Option<String>,
        /// On the port for operators.
        is_admin: bool,
        call: String,
        #[serde(serialize_with = "in_seconds")]
        began: Duration,
        status: u16,
        reply: serde_json::Value,
        /// Those that the contract speaks of: `content-type`, `retry-after` and `access-control-allow-origin`.
        headers: BTreeMap<String, String>,
    },
    /// A step of the scenario began, on this line of its file.
    Step { line: u64, text: String },
    /// What was seen of a user's presence, by a look that began then: the ids of the sockets.
    Presence {
        user: String,
        #[serde(serialize_with = "in_seconds")]
        began: Duration,
        sockets: BTreeSet<String>,
    },
    /// A process or a network was broken on purpose: `gw1`, `kafka`, `alice.phone`.
    Broken { what: String, text: String },
    /// It works again.
    Mended { what: String, text: String },
    /// Another program, which is a step, writes a record into a topic.
    Published { topic: String, key: String, value: String },
    /// A gateway or worker was found to have ended by itself; how, and what its log said last, in words after its name.
    Died { what: String, text: String },
    /// The whole history of a room, as it was read at the end.
    Stored { room: String, messages: Vec<serde_json::Value> },
    /// The rows of the scenario's rooms in the database, as they were at the end: room, sender and `clientMsgId` of each.
    Rows { rows: Vec<[String; 3]> },
    /// What Redis held of a user at the end: fields with their values, and the key's TTL in milliseconds, -1 without.
    Kept { user: String, ttl_ms: i64, fields: BTreeMap<String, String> },
    /// It could not be read, for this reason.
    Unreadable { room: String, reason: String },
}

/// A run, and what its ids are called in the scenario.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// When the run began, in milliseconds since 1970.
    began: Option<i64>,
    entries: Vec<Entry>,
    names: BTreeMap<String, String>,
}

impl History {
    /// An empty one of a run that began then, in milliseconds since 1970.
    pub fn beginning_at(began: i64) -> Self {
        Self { began: Some(began), ..Self::default() }
    }

    /// When the run began, in milliseconds since 1970, if that is known.
    pub fn began(&self) -> Option<i64> {
        self.began
    }

    /// Appends; time never goes back.
    pub fn push(&mut self, at: Duration, what: What) {
        let at = self.entries.last().map_or(at, |last| at.max(last.at));
        self.entries.push(Entry { at, what });
    }

    /// From here on `id` is called `name`.
    pub fn call(&mut self, id: impl Into<String>, name: impl Into<String>) {
        self.names.insert(id.into().to_lowercase(), name.into());
    }

    /// The names of ids, which are in lower case.
    pub fn names(&self) -> &BTreeMap<String, String> {
        &self.names
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The name of an id, in backticks; the id itself if nobody named it.
    pub fn name(&self, id: &str) -> String {
        let name = self.names.get(&id.to_lowercase());
        format!("`{}`", name.map_or(id, String::as_str))
    }
}

/// A length of time for people: `1.20 s`, or `35 ms` below a second.
pub fn shown(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

/// A moment of a run for people, since it began: `1.20 s`.
pub fn moment(at: Duration) -> String {
    format!("{:.2} s", at.as_secs_f64())
}

/// A time in JSON: seconds, to the microsecond.
pub(crate) fn in_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    #[expect(clippy::cast_precision_loss, reason = "a run takes minutes, not centuries")]
    serializer.serialize_f64(time.as_micros() as f64 / 1e6)
}

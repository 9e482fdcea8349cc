//! Steps about what must be seen.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Spanned, Time, Who, spanned::even_null};

/// Something that is true: now, `within` a time, or `for` a time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// An actor.
    pub presence: Option<Spanned<String>>,
    /// With `presence`: whether the user is online.
    pub online: Option<bool>,
    /// With `presence`: how many sockets the user has.
    pub sockets: Option<usize>,
    /// A key of Redis; `${alice}` stands for an id.
    pub redis: Option<Spanned<String>>,
    /// With `redis`: whether there is the key, or the `field` if one is named.
    pub exists: Option<bool>,
    /// With `redis`: how many fields the hash has.
    pub fields: Option<usize>,
    /// With `redis`: a field that the hash has; `${alice.phone.socket}` stands for a socket.
    pub field: Option<Spanned<String>>,
    /// With `field`: what its value has, as JSON.
    #[serde(default, deserialize_with = "even_null")]
    pub value: Option<Spanned<Value>>,
    /// With `redis`: how long the key still lives: at most this and hardly less, since it was just refreshed.
    pub ttl: Option<Spanned<Time>>,
    /// A room whose history is read over HTTP.
    pub history: Option<Spanned<String>>,
    /// A room whose rows are read from the database.
    pub stored: Option<Spanned<String>>,
    /// A topic.
    pub topic: Option<Spanned<String>>,
    /// Names of messages: these and no others, in order.
    pub messages: Option<Vec<Spanned<String>>>,
    /// How many there are.
    pub count: Option<Spanned<usize>>,
    /// It becomes true in this time.
    pub within: Option<Spanned<Time>>,
    /// It stays true for this time.
    #[serde(rename = "for")]
    pub lasting: Option<Spanned<Time>>,
}

/// A message reaches devices.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deliver {
    /// The message, by the name that `as` gave it.
    pub message: Option<Spanned<String>>,
    /// Instead of one: several, which each device hears in this order.
    pub messages: Option<Spanned<Vec<Spanned<String>>>>,
    /// Which devices hear it.
    pub to: Spanned<Who>,
    /// How often; once without.
    pub times: Option<Spanned<usize>>,
    /// How long it may take.
    pub within: Option<Spanned<Time>>,
}

impl Deliver {
    /// The messages, by name.
    pub fn names(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.message.iter().chain(self.messages.iter().flat_map(|names| &names.value))
    }
}

/// A message does not reach devices.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Never {
    /// The message, by the name that `as` gave it.
    pub message: Spanned<String>,
    /// Which devices do not hear it.
    pub to: Spanned<Who>,
    /// How long they go without it; once more after it is stored, if it was not by then.
    #[serde(rename = "for")]
    pub lasting: Spanned<Time>,
}

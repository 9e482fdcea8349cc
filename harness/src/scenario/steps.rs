//! The steps: a verb, then what it needs. One a line.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::Value;

use super::{Crash, Network, Spanned, Stop, Text, Time, Who};

/// One step.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Connect(#[serde(deserialize_with = "who_or")] Connect),
    Disconnect(Spanned<Who>),
    Join(Join),
    Leave(Join),
    Send(Box<Send>),
    Heartbeat(Spanned<Who>),
    Request(Box<Request>),
    Raw(Raw),
    Wait(Wait),
    Expect(Box<Expect>),
    Deliver(Deliver),
    Never(Never),
    Crash(Crash),
    Network(Network),
    Stop(Stop),
    Start(Spanned<String>),
    Freeze(Spanned<String>),
    Thaw(Spanned<String>),
    Restart(Stop),
    RollingRestart(Stop),
    Parallel(Parallel),
    Repeat(Repeat),
    Use(Use),
}

impl Step {
    /// The verb, as it is written.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Disconnect(_) => "disconnect",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
            Self::Send(_) => "send",
            Self::Heartbeat(_) => "heartbeat",
            Self::Request(_) => "request",
            Self::Raw(_) => "raw",
            Self::Wait(_) => "wait",
            Self::Expect(_) => "expect",
            Self::Deliver(_) => "deliver",
            Self::Never(_) => "never",
            Self::Crash(_) => "crash",
            Self::Network(_) => "network",
            Self::Stop(_) => "stop",
            Self::Start(_) => "start",
            Self::Freeze(_) => "freeze",
            Self::Thaw(_) => "thaw",
            Self::Restart(_) => "restart",
            Self::RollingRestart(_) => "rolling_restart",
            Self::Parallel(_) => "parallel",
            Self::Repeat(_) => "repeat",
            Self::Use(_) => "use",
        }
    }
}

/// `connect: alice.phone`, or with a token of another kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    pub who: Spanned<Who>,
    #[serde(default)]
    pub token: Token,
    /// Where the token goes.
    #[serde(default)]
    pub via: TokenPlace,
    /// `false`: the server must say goodbye at once.
    pub accepted: Option<bool>,
}

impl From<Spanned<Who>> for Connect {
    fn from(who: Spanned<Who>) -> Self {
        Self { who, token: Token::default(), via: TokenPlace::default(), accepted: None }
    }
}

/// Which token a device shows.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    #[default]
    Good,
    Expired,
    WrongKey,
    /// Signed with another algorithm.
    WrongAlgorithm,
    WithoutExpiry,
    Malformed,
    /// Not a string.
    Number,
    Empty,
    Missing,
}

/// Where a token goes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum TokenPlace {
    /// `auth.token` of the CONNECT packet.
    #[default]
    Auth,
    /// `Authorization: Bearer ...`.
    Header,
    /// `Authorization` without `Bearer`.
    BareHeader,
}

/// `join` and `leave`: the Socket.IO events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    pub who: Spanned<Who>,
    pub room: Option<Spanned<String>>,
    /// Instead of a room: any payload.
    pub payload: Option<Spanned<Value>>,
    /// Resumes after this message; `join` only.
    pub after: Option<Spanned<String>>,
    pub ack: Option<Spanned<AckWanted>>,
    pub within: Option<Spanned<Time>>,
}

/// The ack that is wanted: `ACCEPTED`, `success`, an error's exact text, or `none` for an event without an ack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AckWanted {
    Accepted,
    Success,
    /// `{ success: true, truncated: true }`.
    Truncated,
    Error(String),
    /// The event asks for no ack.
    None,
    /// Whatever it says.
    Any,
}

impl<'de> Deserialize<'de> for AckWanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "ACCEPTED" => Self::Accepted,
            "success" => Self::Success,
            "truncated" => Self::Truncated,
            "none" => Self::None,
            "any" => Self::Any,
            _ => Self::Error(text),
        })
    }
}

/// `sendMessage`, once or many times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    pub from: Spanned<String>,
    pub room: Option<Spanned<String>>,
    pub text: Option<Spanned<Text>>,
    #[serde(rename = "type")]
    pub kind: Option<Spanned<String>>,
    /// Instead of room, text and type: any payload.
    pub payload: Option<Spanned<Value>>,
    /// The message's name from here on; with `count` that of all of them.
    #[serde(rename = "as")]
    pub name: Option<Spanned<String>>,
    /// Sends the same message again, with its `clientMsgId`.
    pub again: Option<Spanned<String>>,
    pub count: Option<Spanned<usize>>,
    /// Messages in a second; all at once without.
    pub rate: Option<Spanned<u32>>,
    pub ack: Option<Spanned<AckWanted>>,
    pub within: Option<Spanned<Time>>,
}

/// A request over HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The actor whose token it carries.
    pub by: Spanned<String>,
    /// For example `POST /rooms/${general}/join`.
    pub call: Spanned<String>,
    pub body: Option<Spanned<Value>>,
    pub to: Option<Spanned<String>>,
    pub status: Option<Spanned<u16>>,
    /// What the body must contain.
    pub reply: Option<Spanned<Value>>,
    /// Keeps a part of the reply under a name: `{ lobby: id }`.
    #[serde(default)]
    pub capture: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub token: Token,
}

/// A frame as it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    pub device: Spanned<String>,
    pub frame: Spanned<String>,
}

/// Waits until something has been seen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// A device.
    pub device: Spanned<String>,
    pub until: Spanned<WaitFor>,
    pub within: Spanned<Time>,
}

/// What a device waits for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum WaitFor {
    Connected,
    Disconnected,
    /// Everything it has sent is acknowledged.
    Answered,
}

/// Something that is true: now, `within` a time, or `for` a time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// An actor.
    pub presence: Option<Spanned<String>>,
    pub online: Option<bool>,
    pub sockets: Option<usize>,
    /// A key of Redis; `${alice}` stands for an id.
    pub redis: Option<Spanned<String>>,
    pub exists: Option<bool>,
    pub fields: Option<usize>,
    pub ttl: Option<Spanned<Time>>,
    /// A room whose history is read over HTTP.
    pub history: Option<Spanned<String>>,
    /// A room whose rows are read from the database.
    pub stored: Option<Spanned<String>>,
    /// A topic.
    pub topic: Option<Spanned<String>>,
    /// Names of messages, in order.
    pub messages: Option<Vec<Spanned<String>>>,
    pub count: Option<Spanned<usize>>,
    pub within: Option<Spanned<Time>>,
    #[serde(rename = "for")]
    pub lasting: Option<Spanned<Time>>,
}

/// A message reaches devices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deliver {
    pub message: Spanned<String>,
    pub to: Spanned<Who>,
    /// How often; once without.
    pub times: Option<Spanned<usize>>,
    pub within: Option<Spanned<Time>>,
}

/// A message does not reach devices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Never {
    pub message: Spanned<String>,
    pub to: Spanned<Who>,
    #[serde(rename = "for")]
    pub lasting: Spanned<Time>,
}

/// Blocks of steps that run side by side.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Parallel(pub Vec<Vec<Spanned<Step>>>);

/// Steps that run again and again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    pub times: Spanned<usize>,
    pub steps: Vec<Spanned<Step>>,
}

/// The steps of another file, with its parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    pub file: Spanned<String>,
    #[serde(default)]
    pub with: BTreeMap<String, Spanned<String>>,
    /// Its steps, once [`super::load_shared`] has read them.
    #[serde(skip)]
    pub steps: Vec<Spanned<Step>>,
}

/// A `Who` on its own, or a mapping with more to say.
fn who_or<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + From<Spanned<Who>>,
{
    struct Either<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de> + From<Spanned<Who>>> Visitor<'de> for Either<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a device such as `alice.phone`, an actor, `everyone`, a list of these, or a mapping with `who`")
        }

        fn visit_str<E>(self, name: &str) -> Result<T, E> {
            Ok(nowhere(Who::One(name.to_owned())).into())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
            let who = Who::deserialize(SeqAccessDeserializer::new(list))?;
            Ok(nowhere(who).into())
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Either(std::marker::PhantomData))
}

/// A value whose place is that of the step.
fn nowhere<T>(value: T) -> Spanned<T> {
    let location = serde_saphyr::Location::UNKNOWN;
    Spanned::new(value, location, location)
}

//! The steps: a verb, then what it needs. One a line.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AckWanted, Crash, Deliver, Expect, Network, Never, Request, Spanned, Stop, Text, Time, Token,
    TokenPlace, Who,
    people::{who_or, who_or_schema},
    schema::{PROCESSES, Scalar, one_verb},
    spanned::even_null,
};

/// One step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = one_verb)]
pub enum Step {
    /// Devices connect: `connect: alice.phone`, or a mapping with more to say.
    Connect(
        #[serde(deserialize_with = "who_or")]
        #[schemars(schema_with = "who_or_schema::<Connect>")]
        Connect,
    ),
    /// Devices say goodbye and close their connections.
    Disconnect(Spanned<Who>),
    /// Devices send `joinRoom`.
    Join(Join),
    /// Devices send `leaveRoom`.
    Leave(Join),
    /// A device sends `sendMessage`, once or many times.
    Send(Box<Send>),
    /// Devices send `heartbeat`.
    Heartbeat(Spanned<Who>),
    /// A person makes a request over HTTP.
    Request(Box<Request>),
    /// A device sends a frame as it is.
    Raw(Raw),
    /// Goes on once a device has seen something.
    Wait(Wait),
    /// Something is true: now, `within` a time, or `for` a time.
    Expect(Box<Expect>),
    /// A message reaches devices.
    Deliver(Deliver),
    /// A message does not reach devices.
    Never(Never),
    /// A device ends without a word.
    Crash(Crash),
    /// Changes the network of a device.
    Network(Network),
    /// Ends a process: `gw1`, `worker1`, `kafka`, `redis`, `postgres`.
    Stop(Stop),
    /// Starts a process that was stopped.
    Start(#[schemars(extend("examples" = PROCESSES))] Spanned<String>),
    /// Stops a process where it is: it keeps its connections and says nothing.
    Freeze(#[schemars(extend("examples" = PROCESSES))] Spanned<String>),
    /// Lets a frozen process go on.
    Thaw(#[schemars(extend("examples" = PROCESSES))] Spanned<String>),
    /// Ends a process and starts it again.
    Restart(Stop),
    /// Restarts `gateways` or `workers`, one after the other.
    RollingRestart(Stop),
    /// Another program writes a record into a topic.
    Publish(Publish),
    /// Runs blocks of steps side by side.
    Parallel(Parallel),
    /// Runs steps again and again.
    Repeat(Repeat),
    /// Runs the steps of another file.
    Use(Use),
}

impl Step {
    /// The room that it speaks of itself, steps inside of it aside: by name, or as `/rooms/${name}` of a request.
    pub fn room(&self) -> Option<&str> {
        let room = if let Self::Join(join) | Self::Leave(join) = self {
            &join.room
        } else if let Self::Send(send) = self {
            &send.room
        } else if let Self::Expect(expect) = self {
            if expect.history.is_some() { &expect.history } else { &expect.stored }
        } else if let Self::Request(request) = self {
            let (_, rest) = request.call.value.split_once("/rooms/${")?;
            return rest.split_once('}')?.0.split('|').next();
        } else {
            return None;
        };
        room.as_ref().map(|room| room.value.as_str())
    }

    /// The steps inside of it, block by block.
    pub fn blocks(&self) -> Vec<&[Spanned<Self>]> {
        if let Self::Parallel(parallel) = self {
            return parallel.0.iter().map(Vec::as_slice).collect();
        }
        if let Self::Repeat(Repeat { steps, .. }) | Self::Use(Use { steps, .. }) = self {
            return vec![steps.as_slice()];
        }
        Vec::new()
    }

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
            Self::Publish(_) => "publish",
            Self::Parallel(_) => "parallel",
            Self::Repeat(_) => "repeat",
            Self::Use(_) => "use",
        }
    }
}

/// `connect: alice.phone`, or with a token of another kind.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// Which devices connect.
    pub who: Spanned<Who>,
    /// The token that they show; `good` without.
    #[serde(default)]
    pub token: Token,
    /// Where the token goes; `auth` without.
    #[serde(default)]
    pub via: TokenPlace,
    /// `false`: the server must say goodbye at once.
    pub accepted: Option<bool>,
    /// The name of its socket from here on: `${name}` stands for the id of this very one, whatever comes later.
    #[serde(rename = "as")]
    pub name: Option<Spanned<String>>,
}

impl From<Spanned<Who>> for Connect {
    fn from(who: Spanned<Who>) -> Self {
        Self {
            who,
            token: Token::default(),
            via: TokenPlace::default(),
            accepted: None,
            name: None,
        }
    }
}

/// `join` and `leave`: the Socket.IO events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// Which devices.
    pub who: Spanned<Who>,
    /// The room.
    pub room: Option<Spanned<String>>,
    /// Instead of a room: any payload.
    #[serde(default, deserialize_with = "even_null")]
    pub payload: Option<Spanned<Value>>,
    /// Resumes after this message; `join` only.
    pub after: Option<Spanned<String>>,
    /// The ack that is wanted.
    pub ack: Option<Spanned<AckWanted>>,
    /// How long the ack may take.
    pub within: Option<Spanned<Time>>,
}

/// `sendMessage`, once or many times.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The device, such as `alice.phone`.
    pub from: Spanned<String>,
    /// The room.
    pub room: Option<Spanned<String>>,
    /// What it says: literally, or made up anew in each run.
    pub text: Option<Spanned<Text>>,
    /// The message's type; `TEXT` without.
    #[serde(rename = "type")]
    pub kind: Option<Spanned<String>>,
    /// Instead of room, text and type: any payload.
    #[serde(default, deserialize_with = "even_null")]
    pub payload: Option<Spanned<Value>>,
    /// The message's name from here on; with `count` that of all of them.
    #[serde(rename = "as")]
    pub name: Option<Spanned<String>>,
    /// Sends the same message again, with its `clientMsgId`.
    pub again: Option<Spanned<String>>,
    /// How many messages; one without.
    pub count: Option<Spanned<usize>>,
    /// Messages in a second; all at once without.
    pub rate: Option<Spanned<u32>>,
    /// The ack that is wanted.
    pub ack: Option<Spanned<AckWanted>>,
    /// How long the ack may take.
    pub within: Option<Spanned<Time>>,
}

/// A frame as it is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The device, such as `alice.phone`.
    pub device: Spanned<String>,
    /// The frame: `42["joinRoom"`.
    #[schemars(with = "Scalar")]
    pub frame: Spanned<String>,
}

/// Waits until something has been seen.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The device, such as `alice.phone`.
    pub device: Spanned<String>,
    /// What it waits for.
    pub until: Spanned<WaitFor>,
    /// How long it may take.
    pub within: Spanned<Time>,
}

/// What a device waits for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitFor {
    /// It is connected.
    Connected,
    /// It is not connected any more.
    Disconnected,
    /// Its transport is closed, which comes after a goodbye.
    Closed,
    /// It has gone over from polling to a WebSocket.
    Upgraded,
    /// Everything it has sent is acknowledged.
    Answered,
}

/// Another program writes a record into a topic.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The topic, by the contract's name: `chat.messages.v1`.
    pub topic: Spanned<String>,
    /// Its key: `${general}`.
    #[schemars(example = &"${general}")]
    pub key: Spanned<String>,
    /// What it says: a text as it is, anything else as JSON.
    pub value: Spanned<Value>,
    /// The name from here on of the message that the record is.
    #[serde(rename = "as")]
    pub name: Option<Spanned<String>>,
}

/// Blocks of steps that run side by side.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Parallel(pub Vec<Vec<Spanned<Step>>>);

/// Steps that run again and again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// How often.
    pub times: Spanned<usize>,
    /// The steps of one round.
    pub steps: Vec<Spanned<Step>>,
}

/// The steps of another file, with its parameters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// The file, named from this one.
    pub file: Spanned<String>,
    /// Its parameters, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub with: BTreeMap<String, Spanned<String>>,
    /// Its steps, once [`super::load_shared`] has read them.
    #[serde(skip)]
    pub steps: Vec<Spanned<Step>>,
    /// The file from the current directory, and its text with the parameters in it, once it is read.
    #[serde(skip)]
    pub path: String,
    #[serde(skip)]
    pub source: String,
}

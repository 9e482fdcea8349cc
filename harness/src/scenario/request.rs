//! Steps that ask over HTTP.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Spanned, Time, Token, schema::Scalar, spanned::even_null};

/// A request over HTTP.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The actor whose token it carries.
    pub by: Spanned<String>,
    /// For example `POST /rooms/${general}/join`.
    #[schemars(example = &"GET /rooms", example = &"POST /rooms/${general}/join")]
    pub call: Spanned<String>,
    /// The body that is sent, as JSON.
    #[serde(default, deserialize_with = "even_null")]
    pub body: Option<Spanned<Value>>,
    /// Instead of `body`: what is sent as it is, JSON or not.
    #[schemars(with = "Option<Scalar>")]
    pub raw_body: Option<Spanned<String>>,
    /// The gateway that is asked, such as `gw1`; with `port: admin` also a worker.
    pub to: Option<Spanned<String>>,
    /// Which of the gateway's ports is asked: the one for everybody, or the one for operators.
    #[serde(default)]
    pub port: Port,
    /// The status that is wanted.
    pub status: Option<Spanned<u16>>,
    /// What the body must contain.
    #[serde(default, deserialize_with = "even_null")]
    pub reply: Option<Spanned<Value>>,
    /// With `POST /rooms`: the name of the room from here on.
    #[serde(rename = "as")]
    pub name: Option<Spanned<String>>,
    /// Keeps a part of the reply under a name: `{ lobby: id }`.
    #[serde(default)]
    pub capture: BTreeMap<String, Spanned<String>>,
    /// Asked again and again until the answer is the one that is wanted, in this time; only what changes nothing.
    pub within: Option<Spanned<Time>>,
    /// The token that it carries; `good` without.
    #[serde(default)]
    pub token: Token,
}

/// One of a gateway's ports.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Port {
    /// Socket.IO and the API.
    #[default]
    Public,
    /// Health, metrics and probes.
    Admin,
}

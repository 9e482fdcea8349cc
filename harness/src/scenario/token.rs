//! The tokens that devices and people show, and where they show them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which token a device shows.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// One that the gateway takes.
    #[default]
    Good,
    /// Good for one more second.
    Brief,
    /// Good once, but no longer.
    Expired,
    /// Signed with another key.
    WrongKey,
    /// Signed with another algorithm.
    WrongAlgorithm,
    /// Signed with the right key, and with another algorithm that takes it.
    LongerAlgorithm,
    /// Not signed at all: `alg` is `none`.
    Unsigned,
    /// Its user is no UUID.
    NoUser,
    /// It never expires.
    WithoutExpiry,
    /// A text that is no token.
    Malformed,
    /// Not a string.
    Number,
    /// A text without a letter.
    Empty,
    /// None at all.
    Missing,
}

impl Token {
    /// Whether a gateway takes it.
    pub fn is_good(self) -> bool {
        [Self::Good, Self::Brief].contains(&self)
    }
}

/// Where a token goes.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenPlace {
    /// `auth.token` of the CONNECT packet.
    #[default]
    Auth,
    /// `Authorization: Bearer ...`.
    Header,
    /// `Authorization` without `Bearer`.
    BareHeader,
    /// `Authorization: bEARER ...`: letter case does not matter.
    OddHeader,
    /// In the header, beside an `auth.token` that is empty and counts as absent.
    HeaderBesideEmpty,
    /// In the header, beside an `auth.token` that is bad: nobody reads the header then.
    HeaderBesideBadAuth,
    /// In the header, beside an `auth.token` that is a number.
    HeaderBesideNumber,
    /// `auth.token`, beside a header with a bad token, which nobody reads then.
    AuthBesideBadHeader,
}

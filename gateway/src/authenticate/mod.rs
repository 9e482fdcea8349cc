//! Token to [`User`]: one algorithm, one kind of key, `exp` required.
//!
//! Refuses everything else (contract, section 1), and never says which part was wrong to a client.

mod keys;

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation, decode, decode_header, encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    chat::{IdError, User, UserId},
    config::TokenRules,
};
use keys::Key;
pub use keys::KeyError;

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8_192;

/// Why a token is refused: for our logs.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("there is no token")]
    Missing,
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("the token is not valid: {0}")]
    Invalid(#[from] jsonwebtoken::errors::Error),
    #[error("no key of the key set fits the token")]
    NoKey,
    #[error("the token needs an extension (`crit`) that is not known here")]
    Extension,
    #[error("`sub` is not a user id: {0}")]
    Subject(#[source] IdError),
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    email: Option<String>,
}

/// Checks tokens.
pub struct Authenticator {
    keys: Vec<Key>,
    validation: Validation,
}

impl Authenticator {
    /// Reads the key file, if there is one.
    pub fn new(rules: &TokenRules) -> Result<Self, KeyError> {
        let mut validation = Validation::new(rules.algorithm);
        validation.leeway = rules.leeway.as_secs();
        validation.validate_nbf = true;
        validation.validate_aud = false; // The contract knows no audience.
        validation.set_required_spec_claims(&["exp", "sub"]);
        Ok(Self { keys: keys::read(rules)?, validation })
    }

    /// Whose token this is. `token` is bare: without `Bearer`.
    pub fn authenticate(&self, token: &str) -> Result<User, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let Header { kid, crit, .. } = decode_header(token)?;
        if crit.is_some() {
            return Err(TokenError::Extension);
        }
        let mut result = Err(TokenError::NoKey);
        for key in self.keys.iter().filter(|key| key.may_have_signed(kid.as_deref())) {
            result = decode::<Claims>(token, &key.key, &self.validation).map_err(TokenError::from);
            if result.is_ok() {
                break;
            }
        }
        let claims = result?.claims;
        let id = UserId::parse(&claims.sub).map_err(TokenError::Subject)?;
        Ok(User { id, email: claims.email })
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

/// The token in an `Authorization` header: with `Bearer ` in any letter case, or bare.
pub fn bearer(header: &str) -> &str {
    let header = header.trim();
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => header,
    }
}

/// Makes an HS256 token that is valid for `seconds` from now on.
pub fn mint(
    secret: &SecretString,
    user: UserId,
    email: Option<&str>,
    seconds: u64,
) -> Result<String, TokenError> {
    #[derive(Serialize)]
    struct Minted<'a> {
        sub: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        email: Option<&'a str>,
        iat: u64,
        exp: u64,
    }
    let now = jsonwebtoken::get_current_timestamp();
    let claims =
        Minted { sub: user.to_string(), email, iat: now, exp: now.saturating_add(seconds) };
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    Ok(encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::config::KeySource;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const USER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

    fn authenticator() -> Authenticator {
        Authenticator::new(&TokenRules {
            algorithm: Algorithm::HS256,
            key: KeySource::Secret(SECRET.to_owned().into()),
            leeway: Duration::from_secs(5),
            is_generated: false,
            is_weak: false,
        })
        .unwrap()
    }

    fn token(algorithm: Algorithm, secret: &str, claims: &serde_json::Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    fn in_seconds(seconds: i64) -> i64 {
        i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap() + seconds
    }

    #[test]
    fn a_good_token_names_its_user() {
        let minted =
            mint(&SECRET.to_owned().into(), UserId::parse(USER).unwrap(), Some("a@b.c"), 60);
        let user = authenticator().authenticate(&minted.unwrap()).unwrap();
        assert_eq!(user.id.to_string(), USER);
        assert_eq!(user.email.as_deref(), Some("a@b.c"));
    }

    #[test]
    fn leeway_is_at_most_five_seconds() {
        let check = |exp: i64, expect: bool| {
            let token = token(Algorithm::HS256, SECRET, &json!({"sub": USER, "exp": exp}));
            assert_eq!(authenticator().authenticate(&token).is_ok(), expect, "{exp}");
        };
        check(in_seconds(-3), true);
        check(in_seconds(-7), false);
    }

    #[test]
    fn everything_but_a_good_token_is_refused() {
        let good = json!({"sub": USER, "exp": in_seconds(60)});
        let check = |token: &str| assert!(authenticator().authenticate(token).is_err(), "{token}");
        check("");
        check("not.a.token");
        check(&"x".repeat(10_000));
        check(&token(Algorithm::HS256, "another secret of 32 bytes or so", &good));
        check(&token(Algorithm::HS384, SECRET, &good));
        for claims in [
            json!({"sub": USER}),
            json!({"exp": in_seconds(60)}),
            json!({"sub": "alice", "exp": in_seconds(60)}),
            json!({"sub": 7, "exp": in_seconds(60)}),
            json!({"sub": USER, "exp": in_seconds(60).to_string()}),
            json!({"sub": USER, "exp": null}),
            json!({"sub": USER, "exp": in_seconds(60), "nbf": in_seconds(60)}),
        ] {
            check(&token(Algorithm::HS256, SECRET, &claims));
        }
        let (_, payload_and_signature) = token(Algorithm::HS256, SECRET, &good)
            .split_once('.')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        let payload = payload_and_signature.split('.').next().unwrap();
        check(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.")); // {"alg":"none"}
    }

    #[test]
    fn the_header_may_say_bearer_in_any_letter_case_or_nothing() {
        for header in ["Bearer t.t.t", "bearer t.t.t", "BEARER  t.t.t ", "t.t.t"] {
            assert_eq!(bearer(header), "t.t.t", "{header}");
        }
    }
}

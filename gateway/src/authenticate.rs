//! Token to [`User`]: one algorithm, one kind of key, `exp` required.
//!
//! Refuses everything else (contract, section 1), and never says which part was wrong to a client.

use std::fmt;

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
    jwk::JwkSet,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    chat::{IdError, User, UserId},
    config::{KeySource, TokenRules},
};

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
    #[error("`sub` is not a user id: {0}")]
    Subject(#[source] IdError),
}

/// Why the configured key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("`{name}`: cannot read `{file}`: {source}")]
    Unreadable { name: &'static str, file: String, source: std::io::Error },
    #[error("`{name}`: `{file}` holds no key for this algorithm: {source}")]
    Malformed { name: &'static str, file: String, source: jsonwebtoken::errors::Error },
    #[error("`JWT_JWKS_FILE`: `{file}` is not a JSON Web Key Set: {source}")]
    NotAKeySet { file: String, source: serde_json::Error },
    #[error("`JWT_JWKS_FILE`: `{file}` has no key")]
    EmptyKeySet { file: String },
    #[error("there is no key to check tokens with")]
    None,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    email: Option<String>,
}

/// Checks tokens.
pub struct Authenticator {
    keys: Keys,
    validation: Validation,
}

enum Keys {
    One(Box<DecodingKey>),
    /// With the key's id, if it has one.
    Set(Vec<(Option<String>, DecodingKey)>),
}

impl Authenticator {
    /// Reads the key file, if there is one.
    pub fn new(rules: &TokenRules) -> Result<Self, KeyError> {
        let mut validation = Validation::new(rules.algorithm);
        validation.leeway = rules.leeway.as_secs();
        validation.validate_nbf = true;
        validation.validate_aud = false; // The contract knows no audience.
        validation.set_required_spec_claims(&["exp", "sub"]);
        let keys = match &rules.key {
            KeySource::Secret(secret) => {
                Keys::One(Box::new(DecodingKey::from_secret(secret.expose_secret().as_bytes())))
            }
            KeySource::PublicKeyFile(path) => {
                Keys::One(Box::new(public_key(rules.algorithm, path)?))
            }
            KeySource::JwksFile(path) => Keys::Set(key_set(path)?),
            KeySource::None => return Err(KeyError::None),
        };
        Ok(Self { keys, validation })
    }

    /// Whose token this is. `token` is bare: without `Bearer`.
    pub fn authenticate(&self, token: &str) -> Result<User, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let claims = match &self.keys {
            Keys::One(key) => decode::<Claims>(token, key, &self.validation)?.claims,
            Keys::Set(keys) => {
                let wanted = decode_header(token)?.kid;
                let (_, key) = keys
                    .iter()
                    .find(|(id, _)| wanted.is_none() && keys.len() == 1 || *id == wanted)
                    .ok_or(TokenError::NoKey)?;
                decode::<Claims>(token, key, &self.validation)?.claims
            }
        };
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

fn read(name: &'static str, path: &std::path::Path) -> Result<(String, Vec<u8>), KeyError> {
    let file = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => Ok((file, bytes)),
        Err(source) => Err(KeyError::Unreadable { name, file, source }),
    }
}

fn public_key(algorithm: Algorithm, path: &std::path::Path) -> Result<DecodingKey, KeyError> {
    let name = "JWT_PUBLIC_KEY_FILE";
    let (file, pem) = read(name, path)?;
    let key = if algorithm == Algorithm::RS256 {
        DecodingKey::from_rsa_pem(&pem)
    } else if algorithm == Algorithm::ES256 {
        DecodingKey::from_ec_pem(&pem)
    } else {
        DecodingKey::from_ed_pem(&pem)
    };
    key.map_err(|source| KeyError::Malformed { name, file, source })
}

fn key_set(path: &std::path::Path) -> Result<Vec<(Option<String>, DecodingKey)>, KeyError> {
    let name = "JWT_JWKS_FILE";
    let (file, json) = read(name, path)?;
    let set: JwkSet = serde_json::from_slice(&json)
        .map_err(|source| KeyError::NotAKeySet { file: file.clone(), source })?;
    if set.keys.is_empty() {
        return Err(KeyError::EmptyKeySet { file });
    }
    set.keys
        .iter()
        .map(|jwk| {
            let key = DecodingKey::from_jwk(jwk).map_err(|source| KeyError::Malformed {
                name,
                file: file.clone(),
                source,
            })?;
            Ok((jwk.common.key_id.clone(), key))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

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

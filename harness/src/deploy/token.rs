//! Tokens of every kind that a device may show.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::scenario::Token;

/// How long a good token is good.
const LIFE: Duration = Duration::from_hours(12);

/// How long a brief one is. Its end is a whole second, so at least one second is left when it is shown.
const BRIEF_LIFE: Duration = Duration::from_secs(2);

/// How long ago an expired token was still good: more than the 5 s that a gateway lets clocks differ, and hardly more.
const EXPIRED_FOR: Duration = Duration::from_secs(10);

/// Signs tokens with the gateways' secret.
#[derive(Clone)]
pub struct Signer {
    secret: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    pub fn new(secret: impl Into<String>) -> Self {
        Self { secret: secret.into() }
    }

    /// A good token of this user.
    pub fn good(&self, user: &str) -> String {
        self.good_for(user, LIFE)
    }

    /// Every second user has an `email`, which the contract leaves open.
    fn good_for(&self, user: &str, life: Duration) -> String {
        let mut claims = json!({"sub": user, "exp": expiry(life)});
        if user.bytes().last().is_some_and(|digit| digit % 2 == 0) {
            claims["email"] = json!(format!("{user}@chat.example"));
        }
        sign(Algorithm::HS256, &self.secret, &claims)
    }

    /// What a device shows; `None`: nothing at all.
    pub fn token(&self, kind: Token, user: &str) -> Option<Value> {
        let good = json!({"sub": user, "exp": expiry(LIFE)});
        let long_ago = expiry(Duration::ZERO).saturating_sub(EXPIRED_FOR.as_secs());
        Some(match kind {
            Token::Good => json!(self.good(user)),
            Token::Brief => json!(self.good_for(user, BRIEF_LIFE)),
            Token::Expired => {
                let claims = json!({"sub": user, "exp": long_ago});
                json!(sign(Algorithm::HS256, &self.secret, &claims))
            }
            Token::WrongKey => {
                json!(sign(Algorithm::HS256, "the secret of somebody else entirely", &good))
            }
            Token::WrongAlgorithm => json!(sign(Algorithm::HS512, &self.secret, &good)),
            Token::LongerAlgorithm => json!(sign(Algorithm::HS384, &self.secret, &good)),
            Token::Unsigned => json!(unsigned(&good)),
            Token::NoUser => {
                let claims = json!({"sub": format!("user-{user}"), "exp": expiry(LIFE)});
                json!(sign(Algorithm::HS256, &self.secret, &claims))
            }
            Token::WithoutExpiry => {
                json!(sign(Algorithm::HS256, &self.secret, &json!({"sub": user})))
            }
            Token::Malformed => json!("no.token.at all"),
            Token::Number => json!(7),
            Token::Empty => json!(""),
            Token::Missing => return None,
        })
    }
}

/// So much later than now, in seconds since 1970.
pub fn expiry(later: Duration) -> u64 {
    // A clock before 1970 makes tokens that are expired, and every gateway will say so.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now + later).as_secs()
}

/// A token with `alg: none`, as libraries once took it.
fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(claims))
}

fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key)
        .expect("claims are JSON and the key fits the algorithm")
}

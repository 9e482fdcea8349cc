//! Tokens of every kind that a device may show.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::scenario::Token;

/// How long a good token is good.
const LIFE: Duration = Duration::from_hours(12);

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
        sign(Algorithm::HS256, &self.secret, &json!({"sub": user, "exp": expiry(LIFE)}))
    }

    /// What a device shows; `None`: nothing at all.
    pub fn token(&self, kind: Token, user: &str) -> Option<Value> {
        let good = json!({"sub": user, "exp": expiry(LIFE)});
        let long_ago = expiry(Duration::ZERO).saturating_sub(60);
        Some(match kind {
            Token::Good => json!(self.good(user)),
            Token::Expired => {
                let claims = json!({"sub": user, "exp": long_ago});
                json!(sign(Algorithm::HS256, &self.secret, &claims))
            }
            Token::WrongKey => {
                json!(sign(Algorithm::HS256, "the secret of somebody else entirely", &good))
            }
            Token::WrongAlgorithm => json!(sign(Algorithm::HS512, &self.secret, &good)),
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

fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key)
        .expect("claims are JSON and the key fits the algorithm")
}

//! Which tokens are accepted.

use std::{path::PathBuf, time::Duration};

use jsonwebtoken::Algorithm;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{Role, reader::Reader};

/// Shortest shared secret outside `dev`, in bytes.
const SECRET_BYTES_MIN: usize = 32;

/// How a token is checked: exactly one algorithm, one kind of key.
#[derive(Clone, Debug)]
pub struct TokenRules {
    pub algorithm: Algorithm,
    pub key: KeySource,
    /// How far clocks may differ; at most 5 s.
    pub leeway: Duration,
    /// `dev` made the secret up: nobody else can know it, tokens end with the process.
    pub is_generated: bool,
    /// `dev` was given a secret that no other role would take.
    pub is_weak: bool,
}

/// Where the key comes from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// HS256.
    Secret(SecretString),
    /// A public key in PEM.
    PublicKeyFile(PathBuf),
    /// A JSON Web Key Set.
    JwksFile(PathBuf),
    /// This role checks no tokens.
    None,
}

impl TokenRules {
    pub(super) fn read(r: &mut Reader, role: Role) -> Self {
        let algorithm = r.choice(
            "JWT_ALGORITHM",
            &[
                ("HS256", Algorithm::HS256),
                ("RS256", Algorithm::RS256),
                ("ES256", Algorithm::ES256),
                ("EdDSA", Algorithm::EdDSA),
            ],
            0,
            "the only algorithm that is accepted: `HS256`, `RS256`, `ES256` or `EdDSA`",
        );
        let secret = r.secret("JWT_SECRET", "shared secret of HS256, at least 32 bytes");
        let public_key =
            r.optional("JWT_PUBLIC_KEY_FILE", "public key in PEM for RS256, ES256, EdDSA");
        let jwks = r.optional("JWT_JWKS_FILE", "JSON Web Key Set for RS256, ES256, EdDSA");
        let leeway = r.milliseconds("JWT_LEEWAY_MS", 5_000, 0..=5_000, "how far clocks may differ");
        let mut rules =
            Self { algorithm, key: KeySource::None, leeway, is_generated: false, is_weak: false };
        if !role.serves_clients() {
            return rules;
        }
        if algorithm == Algorithm::HS256 {
            rules.read_secret(r, role, secret);
            if public_key.is_some() || jwks.is_some() {
                r.problem("JWT_ALGORITHM", "HS256 takes `JWT_SECRET`, not a public key");
            }
            return rules;
        }
        rules.key = match (public_key, jwks) {
            (Some(file), None) => KeySource::PublicKeyFile(file.into()),
            (None, Some(file)) => KeySource::JwksFile(file.into()),
            (None, None) => {
                r.problem(
                    "JWT_PUBLIC_KEY_FILE",
                    format!("{algorithm:?} needs it, or `JWT_JWKS_FILE`"),
                );
                KeySource::None
            }
            (Some(_), Some(_)) => {
                r.problem("JWT_JWKS_FILE", "contradicts `JWT_PUBLIC_KEY_FILE`: set one of them");
                KeySource::None
            }
        };
        rules
    }

    fn read_secret(&mut self, r: &mut Reader, role: Role, secret: Option<SecretString>) {
        match secret {
            Some(secret) => {
                self.is_weak = secret.expose_secret().len() < SECRET_BYTES_MIN;
                if self.is_weak && role != Role::Dev {
                    r.problem("JWT_SECRET", format!("must have at least {SECRET_BYTES_MIN} bytes"));
                }
                self.key = KeySource::Secret(secret);
            }
            None if role == Role::Dev => {
                let made = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
                self.key = KeySource::Secret(made.into());
                self.is_generated = true;
            }
            None => {
                r.problem("JWT_SECRET", "is not set; HS256 needs a secret of at least 32 bytes");
            }
        }
    }
}

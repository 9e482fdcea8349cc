//! The keys that tokens are checked with: a shared secret, a public key in PEM, or a JSON Web Key Set.

use std::path::Path;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::config::{KeySource, TokenRules};

/// An RSA key of 2048 bits, modulus and exponent in DER, has 270 bytes.
const RSA_DER_BYTES_MIN: usize = 256;

/// A point of P-256, uncompressed.
const P256_POINT_BYTES: usize = 65;

/// Why the configured key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("`{name}`: cannot read `{file}`: {source}")]
    Unreadable { name: &'static str, file: String, source: std::io::Error },
    #[error("`{name}`: `{file}` holds no key for this algorithm: {source}")]
    Malformed { name: &'static str, file: String, source: jsonwebtoken::errors::Error },
    #[error(
        "`JWT_PUBLIC_KEY_FILE`: `{file}` holds a private key: give the public one, this process needs no other"
    )]
    Private { file: String },
    #[error(
        "`JWT_PUBLIC_KEY_FILE`: `{file}`: {algorithm:?} needs an RSA key of at least 2048 bits, or a P-256 key"
    )]
    WrongSize { file: String, algorithm: Algorithm },
    #[error("`JWT_JWKS_FILE`: `{file}` is not a JSON Web Key Set: {source}")]
    NotAKeySet { file: String, source: serde_json::Error },
    #[error("`JWT_JWKS_FILE`: `{file}` has no key for signatures with {algorithm:?}")]
    NoneFits { file: String, algorithm: Algorithm },
    #[error("there is no key to check tokens with")]
    None,
}

pub(super) struct Key {
    /// `kid`.
    id: Option<String>,
    pub(super) key: DecodingKey,
}

impl Key {
    /// Whether a token that names the key `id`, or none, may have been signed with this one.
    pub(super) fn may_have_signed(&self, id: Option<&str>) -> bool {
        match (self.id.as_deref(), id) {
            (Some(ours), Some(wanted)) => ours == wanted,
            (None, _) | (_, None) => true,
        }
    }
}

/// Reads the key file, if there is one. At least one key.
pub(super) fn read(rules: &TokenRules) -> Result<Vec<Key>, KeyError> {
    match &rules.key {
        KeySource::Secret(secret) => {
            let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
            Ok(vec![Key { id: None, key }])
        }
        KeySource::PublicKeyFile(path) => public_key(rules.algorithm, path),
        KeySource::JwksFile(path) => key_set(rules.algorithm, path),
        KeySource::None => Err(KeyError::None),
    }
}

fn read_file(name: &'static str, path: &Path) -> Result<(String, Vec<u8>), KeyError> {
    let file = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => Ok((file, bytes)),
        Err(source) => Err(KeyError::Unreadable { name, file, source }),
    }
}

fn public_key(algorithm: Algorithm, path: &Path) -> Result<Vec<Key>, KeyError> {
    let name = "JWT_PUBLIC_KEY_FILE";
    let (file, pem) = read_file(name, path)?;
    if String::from_utf8_lossy(&pem).contains("PRIVATE KEY") {
        return Err(KeyError::Private { file });
    }
    let key = if algorithm == Algorithm::RS256 {
        DecodingKey::from_rsa_pem(&pem)
    } else if algorithm == Algorithm::ES256 {
        DecodingKey::from_ec_pem(&pem)
    } else {
        DecodingKey::from_ed_pem(&pem)
    };
    let key = match key {
        Ok(key) => key,
        Err(source) => return Err(KeyError::Malformed { name, file, source }),
    };
    // A key of another size is read as well, and then no token fits it.
    let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    if algorithm == Algorithm::RS256 && bytes < RSA_DER_BYTES_MIN
        || algorithm == Algorithm::ES256 && bytes != P256_POINT_BYTES
    {
        return Err(KeyError::WrongSize { file, algorithm });
    }
    Ok(vec![Key { id: None, key }])
}

/// The keys of a set that can have signed a token. Others do not matter (RFC 7517, section 5): an identity provider
/// publishes keys for encryption and of types unknown here beside them.
fn key_set(algorithm: Algorithm, path: &Path) -> Result<Vec<Key>, KeyError> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<serde_json::Value>,
    }
    let (file, json) = read_file("JWT_JWKS_FILE", path)?;
    let set: KeySet = serde_json::from_slice(&json)
        .map_err(|source| KeyError::NotAKeySet { file: file.clone(), source })?;
    let mut keys = Vec::new();
    for value in set.keys {
        let Ok(jwk) = serde_json::from_value::<Jwk>(value) else { continue };
        if fits(algorithm, &jwk)
            && let Ok(key) = DecodingKey::from_jwk(&jwk)
        {
            keys.push(Key { id: jwk.common.key_id, key });
        }
    }
    if keys.is_empty() { Err(KeyError::NoneFits { file, algorithm }) } else { Ok(keys) }
}

fn fits(algorithm: Algorithm, jwk: &Jwk) -> bool {
    let is_for_signatures =
        matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let is_for_algorithm = jwk
        .common
        .key_algorithm
        .is_none_or(|name| name.to_string().parse::<Algorithm>().is_ok_and(|it| it == algorithm));
    let is_of_type = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => algorithm == Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) => {
            algorithm == Algorithm::ES256 && key.curve == EllipticCurve::P256
        }
        AlgorithmParameters::OctetKeyPair(key) => {
            algorithm == Algorithm::EdDSA && key.curve == EllipticCurve::Ed25519
        }
        AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_) | _ => false,
    };
    is_for_signatures && is_for_algorithm && is_of_type
}

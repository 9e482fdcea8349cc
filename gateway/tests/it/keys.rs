//! Contract, section 1: RS256, ES256 and `EdDSA` with a public key or a key set, and no other algorithm beside.

use std::path::PathBuf;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::{
    client::{Client, Transport},
    people::Person,
    process::{SECRET, Settings},
    world::World,
};

const ALGORITHMS: [(&str, Algorithm, &str); 3] = [
    ("RS256", Algorithm::RS256, "rsa"),
    ("ES256", Algorithm::ES256, "ec"),
    ("EdDSA", Algorithm::EdDSA, "ed"),
];

fn path(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/it/keys", file].iter().collect()
}

fn read(file: &str) -> Vec<u8> {
    std::fs::read(path(file)).unwrap()
}

fn claims() -> Value {
    json!({"sub": Person::new().id, "exp": jsonwebtoken::get_current_timestamp() + 60})
}

/// A token signed with the private key `name`; `id` goes into its header.
fn token(algorithm: Algorithm, name: &str, id: Option<&str>) -> String {
    let pem = read(&format!("{name}.private.pem"));
    let key = match name {
        "rsa" => EncodingKey::from_rsa_pem(&pem),
        "ec" => EncodingKey::from_ec_pem(&pem),
        _ => EncodingKey::from_ed_pem(&pem),
    };
    let mut header = Header::new(algorithm);
    header.kid = id.map(str::to_owned);
    encode(&header, &claims(), &key.unwrap()).unwrap()
}

/// An HS256 token, signed with any bytes.
fn symmetric(secret: &[u8]) -> String {
    encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(secret)).unwrap()
}

/// Whether the gateway keeps a socket with this token.
async fn is_let_in(world: &World, token: &str) -> bool {
    let address = world.gateway().address();
    let mut client = Client::connect(address, Transport::WebSocket, token).await;
    let id = client.emit("heartbeat", &json!({})).await;
    match client.packet().await.as_deref() {
        Some("41") | None => false,
        Some(ack) => {
            assert_eq!(ack, format!(r#"43{id}[{{"success":true}}]"#));
            true
        }
    }
}

async fn expect_one_key(world: &World, name: &str, id: Option<&str>) {
    for (_, algorithm, other) in ALGORITHMS {
        let is_ours = other == name;
        let token = token(algorithm, other, id.map(|_| other));
        assert_eq!(is_let_in(world, &token).await, is_ours, "{name} {other}");
    }
    // The classic confusion: the public key taken for a shared secret.
    assert!(!is_let_in(world, &symmetric(&read(&format!("{name}.public.pem")))).await);
    assert!(!is_let_in(world, &symmetric(SECRET.as_bytes())).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_lets_in_its_own_tokens_alone() {
    for (algorithm, _, name) in ALGORITHMS {
        let file = path(&format!("{name}.public.pem"));
        let settings = Settings::new().without("JWT_SECRET");
        let settings = settings.with("JWT_ALGORITHM", algorithm);
        let world = World::embedded(settings.with("JWT_PUBLIC_KEY_FILE", file.display()));
        expect_one_key(&world, name, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_key_set_the_key_that_the_token_names_counts() {
    for (name, algorithm, key) in ALGORITHMS {
        let settings = Settings::new().without("JWT_SECRET").with("JWT_ALGORITHM", name);
        let world = World::embedded(settings.with("JWT_JWKS_FILE", path("jwks.json").display()));
        expect_one_key(&world, key, Some(key)).await;
        assert!(!is_let_in(&world, &token(algorithm, key, Some("nobody's"))).await);
        assert!(is_let_in(&world, &token(algorithm, key, None)).await, "the one that fits");
    }
}

#[test]
fn a_key_that_cannot_be_used_exits_64_and_is_named() {
    let settings = Settings::new().without("JWT_SECRET").with("JWT_ALGORITHM", "RS256");
    for (setting, file, word) in [
        ("JWT_PUBLIC_KEY_FILE", "ec.public.pem", "no key for this algorithm"),
        ("JWT_PUBLIC_KEY_FILE", "missing.pem", "cannot read"),
        ("JWT_PUBLIC_KEY_FILE", "rsa.private.pem", "private key"),
        ("JWT_PUBLIC_KEY_FILE", "short.public.pem", "at least 2048 bits"),
        ("JWT_JWKS_FILE", "rsa.public.pem", "not a JSON Web Key Set"),
        ("JWT_JWKS_FILE", "other.jwks.json", "no key for signatures"),
    ] {
        let settings = settings.clone().with(setting, path(file).display());
        let output = settings.command(&["standalone"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{stderr}");
        assert!(stderr.contains(setting) && stderr.contains(word), "{stderr}");
    }
}

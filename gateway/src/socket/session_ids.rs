//! Session ids that only the session's own client knows.
//!
//! Socket.IO's `socket.id` is public: presence names it. The library uses the same text as the id of the Engine.IO
//! session, and whoever knows that can take a polling session over by upgrading it. So the id that a polling handshake
//! gives carries a seal, requests without the right seal are refused, and the library never sees a seal.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hmac::{self, HMAC_SHA256, Key},
    rand::SystemRandom,
};
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
};
use http::{StatusCode, Uri, header::CONTENT_LENGTH};

/// Longest answer to a handshake.
const HANDSHAKE_BYTES_MAX: usize = 4_096;

/// Seals the ids of this process. Another process refuses them, as it has no such sessions.
#[derive(Debug)]
pub(super) struct SessionIds {
    key: Key,
}

impl SessionIds {
    pub(super) fn new() -> Self {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new());
        Self { key: key.expect("the system has random numbers") }
    }

    /// As hard to guess as a UUID.
    fn seal(&self, sid: &str) -> String {
        let tag = hmac::sign(&self.key, sid.as_bytes());
        let half = tag.as_ref().first_chunk().expect("a SHA-256 has 32 bytes");
        format!("{sid}.{:032x}", u128::from_be_bytes(*half))
    }

    /// The id without its seal; `None` if the seal is missing or wrong.
    pub(super) fn open<'s>(&self, sealed: &'s str) -> Option<&'s str> {
        let (sid, _) = sealed.split_once('.')?;
        let is_ours = verify_slices_are_equal(self.seal(sid).as_bytes(), sealed.as_bytes()).is_ok();
        is_ours.then_some(sid)
    }

    /// The answer to a polling handshake, with its id sealed.
    pub(super) async fn seal_handshake(&self, response: Response) -> Response {
        if response.status() != StatusCode::OK {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let Ok(bytes) = to_bytes(body, HANDSHAKE_BYTES_MAX).await else {
            parts.status = StatusCode::INTERNAL_SERVER_ERROR;
            return Response::from_parts(parts, Body::empty());
        };
        let text = String::from_utf8_lossy(&bytes);
        let sealed = text.split_once(r#""sid":""#).and_then(|(before, rest)| {
            let (sid, after) = rest.split_once('"')?;
            Some(format!(r#"{before}"sid":"{}"{after}"#, self.seal(sid)))
        });
        parts.headers.remove(CONTENT_LENGTH);
        Response::from_parts(parts, sealed.map_or_else(|| Body::from(bytes.clone()), Body::from))
    }
}

/// The request with `sid` in place of the sealed id.
pub(super) fn unseal(mut request: Request, sealed: &str, sid: &str) -> Request {
    let uri =
        request.uri().to_string().replacen(&format!("sid={sealed}"), &format!("sid={sid}"), 1);
    if let Ok(uri) = uri.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_with_its_own_seal_is_opened() {
        let ids = SessionIds::new();
        let sealed = ids.seal("AbCd_123-xyz");
        assert_eq!(ids.open(&sealed), Some("AbCd_123-xyz"));
        let check = |text: &str| assert_eq!(ids.open(text), None, "{text}");
        check("AbCd_123-xyz");
        check("AbCd_123-xyz.");
        check(&sealed.replace("AbCd", "AbCe"));
        check(&format!("{sealed}0"));
        check(&SessionIds::new().seal("AbCd_123-xyz"));
        check("");
    }
}

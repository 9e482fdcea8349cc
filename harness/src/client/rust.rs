//! `rust_socketio`: an ordinary client library that nobody here wrote.
//!
//! Its traps: ack ids are random below a thousand, so that few may be in flight; and by long-polling it takes each piece of
//! a body for a whole one, so that a long answer (about 8 KiB and more) ends its connection. Where a polling device hears
//! much at once, scenarios use `raw` or `js`.

use std::{fmt, time::Duration};

use futures_util::FutureExt as _;
use rust_socketio::{
    TransportType,
    asynchronous::{Client, ClientBuilder},
};
use serde_json::Value;

use super::{ClientError, Options};
use crate::scenario::Transport;

/// The version of the library, which does not say it itself; a test holds it to `Cargo.lock`.
pub(super) const VERSION: &str = "0.6.0";

/// How long the library keeps the callback of an ack.
const ACK_LIMIT: Duration = Duration::from_mins(1);

/// How long its goodbye may take.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(2);

/// A client of the library.
pub struct Rust {
    client: Client,
}

impl fmt::Debug for Rust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rust")
    }
}

impl Rust {
    pub(super) async fn connect(options: &Options) -> Result<Self, ClientError> {
        let transport = match options.transport {
            Transport::Websocket => TransportType::Websocket,
            Transport::Polling => TransportType::Polling,
            Transport::Upgrade => TransportType::WebsocketUpgrade,
        };
        let mut builder = ClientBuilder::new(format!("http://{}/", options.address))
            .transport_type(transport)
            .reconnect(false);
        if let Some(auth) = &options.auth {
            builder = builder.auth(auth.clone());
        }
        if let Some(value) = &options.authorization {
            builder = builder.opening_header("authorization", value.as_str());
        }
        let client =
            builder.connect().await.map_err(|error| ClientError::Refused(error.to_string()))?;
        Ok(Self { client })
    }

    pub(super) async fn emit(
        &mut self,
        event: &str,
        payload: &Value,
        wants_ack: bool,
    ) -> Result<(), ClientError> {
        let sent = if wants_ack {
            let ignore = |_, _| async {}.boxed();
            self.client.emit_with_ack(event, payload.clone(), ACK_LIMIT, ignore).await
        } else {
            self.client.emit(event, payload.clone()).await
        };
        sent.map_err(|_| ClientError::Gone)
    }

    pub(super) async fn disconnect(self) {
        // If it is gone already, that is what was wanted.
        drop(tokio::time::timeout(DISCONNECT_LIMIT, self.client.disconnect()).await);
    }
}

#[cfg(test)]
mod tests {
    use super::VERSION;

    #[test]
    fn the_version_is_that_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"rust_socketio\"\nversion = \"{VERSION}\"");
        assert!(lock.contains(&entry));
    }
}

//! Gateways that run already: where they are, and whether they can be talked to at all.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use crate::deploy::Signer;
use anyhow::{Context as _, anyhow, bail};
use uuid::Uuid;

/// How long the first answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The address behind a gateway's URL.
pub(super) fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    if rest.contains("://") {
        bail!("`{url}`: only http:// is spoken here, without TLS");
    }
    if let Some((_, path)) = rest.split_once('/') {
        bail!("`{url}`: a gateway is a host and a port, leave `/{path}` out");
    }
    let mut found = rest.to_socket_addrs().with_context(|| {
        format!("`{url}` is no address: write for example `--url http://127.0.0.1:3000`")
    })?;
    found.next().ok_or_else(|| anyhow!("`{url}` has no address"))
}

/// Whether a gateway is there and takes our tokens: nothing that a scenario could say about the others means anything.
pub(super) async fn answers(url: &str, gateway: SocketAddr, signer: &Signer) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
    let token = signer.good(&Uuid::new_v4().to_string());
    let asked = http.get(format!("http://{gateway}/rooms")).bearer_auth(token).send().await;
    let answer = asked.map_err(|error| {
        let why = if error.is_connect() { "nothing listens there" } else { "it does not answer" };
        anyhow!("`{url}`: {why}")
    })?;
    if answer.status() == reqwest::StatusCode::UNAUTHORIZED {
        bail!(
            "`{url}` takes no token that is signed with `--jwt-secret`: give the secret of its gateway"
        );
    }
    // The port for operators knows no tokens and no sockets.
    let opened = http.get(format!("http://{gateway}/socket.io/?EIO=4&transport=polling")).send();
    let status = opened.await.map(|answer| answer.status());
    if status.as_ref().is_ok_and(|status| *status == reqwest::StatusCode::NOT_FOUND) {
        bail!("`{url}` has no Socket.IO: is that the port of its gateway for operators?");
    }
    Ok(())
}

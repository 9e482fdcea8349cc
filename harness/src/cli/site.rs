//! Gateways that run already: where they are, and whether they can be talked to at all.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

use crate::deploy::Signer;

/// How long the first answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The gateways behind these URLs, all of which are there and take tokens of this secret.
pub(super) async fn gateways(
    urls: &[String],
    secret: Option<&String>,
) -> anyhow::Result<(Vec<SocketAddr>, Signer)> {
    let secret = secret.ok_or_else(|| anyhow!("`--url` needs `--jwt-secret`, to sign tokens"))?;
    let gateways: Vec<_> = urls.iter().map(|url| address(url)).collect::<Result<_, _>>()?;
    if let Some(twice) = gateways.iter().enumerate().find(|(n, it)| gateways[..*n].contains(it)) {
        bail!("`{}` is given twice: `gw1` and `gw2` would be one gateway", twice.1);
    }
    let signer = Signer::new(secret.clone());
    for (url, gateway) in urls.iter().zip(&gateways) {
        answers(url, *gateway, &signer).await?;
    }
    Ok((gateways, signer))
}

/// The address behind a gateway's URL.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
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

/// Whether this Redis is there, if one was given.
pub(super) async fn redis_answers(url: Option<&str>) -> anyhow::Result<()> {
    let Some(url) = url else { return Ok(()) };
    let ask = async {
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await
    };
    in_time("--redis-url", ask).await
}

/// Whether this Postgres is there, if one was given.
pub(super) async fn database_answers(url: Option<&str>) -> anyhow::Result<()> {
    let Some(url) = url else { return Ok(()) };
    in_time("--database-url", PgConnection::connect(url)).await
}

/// Whether these brokers are there, if any were given.
pub(super) async fn kafka_answers(brokers: Option<&str>) -> anyhow::Result<()> {
    let Some(brokers) = brokers.map(str::to_owned) else { return Ok(()) };
    let ask = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &brokers).create()?;
        consumer.fetch_metadata(None, LIMIT).map(drop)
    });
    ask.await?.map_err(|error| unusable("--kafka-brokers", &error))
}

async fn in_time<T, E: std::error::Error>(
    flag: &str,
    ask: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<()> {
    match timeout(LIMIT, ask).await {
        Ok(answer) => answer.map(drop).map_err(|error| unusable(flag, &error)),
        Err(_) => bail!("`{flag}`: it does not answer"),
    }
}

/// The address itself may hold a password.
fn unusable(flag: &str, error: &dyn std::error::Error) -> anyhow::Error {
    anyhow!("`{flag}` cannot be used: {error}")
}

/// Whether a gateway is there and takes our tokens: nothing that a scenario could say about the others means anything.
async fn answers(url: &str, gateway: SocketAddr, signer: &Signer) -> anyhow::Result<()> {
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

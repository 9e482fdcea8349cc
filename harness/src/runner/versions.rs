//! What ran, in which versions, and how to run it again.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::{process::Command, time::timeout};

use crate::{client, deploy::Site, stack::KAFKA_VERSION, verdict::Run};

/// How long a server or a program may take to say its version.
const LIMIT: Duration = Duration::from_secs(2);

/// Everything that a report of a mistake needs. What could not be asked says why.
pub(super) async fn versions(run: &Run, site: &Site) -> Value {
    let deployment = site.deployment.as_deref();
    let settings: BTreeMap<String, String> =
        deployment.map(|it| it.shape.settings.clone()).unwrap_or_default();
    let gateway = async {
        let program = &deployment?.program;
        Some(said(Command::new(program).arg("--version")).await)
    };
    let (gateway, redis, postgres, clients) = tokio::join!(
        gateway,
        redis(site.redis_url.as_deref()),
        postgres(site.database_url.as_deref()),
        client::versions()
    );
    json!({
        "harness": env!("CARGO_PKG_VERSION"),
        "gateway": gateway,
        // Ours is this one; the version of another cannot be asked.
        "kafka": deployment.and(site.kafka.as_ref()).map(|_| KAFKA_VERSION),
        "redis": redis,
        "postgres": postgres,
        "clients": clients,
        "gateways": site.gateways,
        "settings": settings,
        "seed": run.seed,
        "again": run.again(),
    })
}

async fn redis(url: Option<&str>) -> Option<String> {
    let ask = async {
        let client = redis::Client::open(url?).ok()?;
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        let info: String =
            redis::cmd("INFO").arg("server").query_async(&mut connection).await.ok()?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"))?;
        Some(version.trim().to_owned())
    };
    or_silent(url, ask).await
}

async fn postgres(url: Option<&str>) -> Option<String> {
    let ask = async {
        let mut connection = PgConnection::connect(url?).await.ok()?;
        sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await.ok()
    };
    or_silent(url, ask).await
}

/// `None`: there is no such server here.
async fn or_silent(url: Option<&str>, ask: impl Future<Output = Option<String>>) -> Option<String> {
    url?;
    let answer = timeout(LIMIT, ask).await.unwrap_or_default();
    Some(answer.unwrap_or_else(|| "it does not answer".to_owned()))
}

/// The first line that a program says.
async fn said(command: &mut Command) -> String {
    match timeout(LIMIT, command.kill_on_drop(true).output()).await {
        Ok(Ok(output)) => {
            let text = String::from_utf8_lossy(&output.stdout);
            text.lines().next().unwrap_or_default().to_owned()
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer".to_owned(),
    }
}

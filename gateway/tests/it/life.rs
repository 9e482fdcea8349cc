//! The life of a process: what it answers before it is ready, and that it ends when a part of it has.

use std::net::SocketAddr;

use gateway::{
    app,
    config::{Config, Overrides, Role},
    shutdown::Shutdown,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

fn load(role: Role, settings: &[(&str, &str)]) -> Config {
    let loopback = [("HOST", "127.0.0.1"), ("PORT", "0"), ("ADMIN_HOST", "127.0.0.1")];
    let settings = loopback.iter().chain(&[("ADMIN_PORT", "0")]).chain(settings);
    let environment = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let overrides = Overrides { is_ephemeral: true, ..Overrides::default() };
    app::load(role, environment.collect(), &overrides).unwrap()
}

async fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = http.get(format!("http://{admin}{path}")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_while_the_backends_are_waited_for() {
    let settings =
        [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"), ("KAFKA_BROKERS", "127.0.0.1:1")];
    let config = load(Role::Worker, &settings);
    let (bound, shutdown) = (app::bind(&config).unwrap(), Shutdown::default());
    let (_, admin) = bound.addresses();
    let running = app::run(&config, bound, shutdown.clone(), |_, _| panic!("it is not ready"));
    let asking = async {
        assert_eq!(get(admin, "/livez").await.0, 200);
        assert_eq!(get(admin, "/readyz").await, (503, "starting\n".to_owned()));
        let (status, health) = get(admin, "/health").await;
        let health: Value = serde_json::from_str(&health).unwrap();
        assert_eq!((status, &health["status"]), (503, &json!("starting")));
        shutdown.requested.cancel();
    };
    let (outcome, ()) = tokio::join!(running, asking);
    outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_panics_ends_the_process_with_exit_code_1() {
    let config = load(Role::Dev, &[]);
    let (bound, shutdown) = (app::bind(&config).unwrap(), Shutdown::default());
    let (ready, is_ready) = oneshot::channel();
    let running = app::run(&config, bound, shutdown.clone(), |_, _| ready.send(()).unwrap());
    let breaking = async {
        is_ready.await.unwrap();
        shutdown.spawn_part("kitchen", async { panic!("on purpose") });
    };
    let (outcome, ()) = tokio::join!(running, breaking);
    let error = outcome.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("`kitchen`"), "{error}");
}

//! What `dev` and `standalone` print when they are ready.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gateway::{
    app, authenticate,
    chat::UserId,
    config::{Config, KeySource, Role},
};

/// The two people of `dev`, the same at every start.
const PEOPLE: [(&str, &str); 2] = [
    ("alice", "a11ce000-0000-4000-8000-000000000001"),
    ("bob", "b0b00000-0000-4000-8000-000000000002"),
];

/// How long their tokens are valid, in seconds.
const TOKEN_SECONDS: u64 = 30 * 24 * 3_600;

/// A client in plain JavaScript, over long-polling: runs in Node 18+ and in the console of a browser as it is.
const SNIPPET: &str = r#"(async () => {
  const base = "URL", token = "TOKEN";
  const api = async (path, body) => (await fetch(base + path, { method: "POST",
    headers: { authorization: "Bearer " + token }, body: JSON.stringify(body) })).json();
  const io = base + "/socket.io/?EIO=4&transport=polling";
  const { sid } = JSON.parse((await (await fetch(io)).text()).slice(1));
  const read = async () => (await (await fetch(io + "&sid=" + sid)).text()).split("\x1e");
  const write = (packet) => fetch(io + "&sid=" + sid, { method: "POST", body: packet });
  const room = await api("/rooms", { name: "hello" });
  const emit = (id, event, payload) => write("42" + id + JSON.stringify([event, payload]));
  await write("40" + JSON.stringify({ token }));
  for (;;) for (const packet of await read()) {
    if (packet === "2") await write("3");
    else console.log(packet);
    if (packet.startsWith("40")) await emit(0, "joinRoom", { roomId: room.id });
    if (packet.startsWith("430")) await emit(1, "sendMessage",
      { roomId: room.id, clientMsgId: crypto.randomUUID(), type: "TEXT", content: "hello" });
  }
})();"#;

/// Where it listens, what is embedded, and in `dev` how to try it out.
pub(crate) fn banner(config: &Config, public: SocketAddr, admin: SocketAddr) -> String {
    let (url, admin_url) =
        (format!("http://{}", local(public)), format!("http://{}", local(admin)));
    let mut lines = vec![
        format!("gateway {} is ready", config.role.as_str()),
        String::new(),
        format!("  clients   {url}"),
        format!("  admin     {admin_url}/health  {admin_url}/metrics"),
    ];
    lines.extend(app::describe(config).into_iter().map(|line| format!("  {line}")));
    lines.push(
        "  One process on one machine by intention: to outgrow it, set KAFKA_BROKERS, REDIS_URL and"
            .to_owned(),
    );
    lines.push("  DATABASE_URL and run `gateway serve` and `gateway worker`.".to_owned());
    if config.role == Role::Dev {
        lines.extend(try_it_out(config, &url));
    }
    lines.join("\n") + "\n"
}

fn try_it_out(config: &Config, url: &str) -> Vec<String> {
    let KeySource::Secret(secret) = &config.tokens.key else { return Vec::new() };
    let mut lines = vec![String::new()];
    if config.tokens.is_generated {
        lines.push("  tokens of this run (set JWT_SECRET to keep them valid):".to_owned());
    } else if config.tokens.is_weak {
        lines.push("  JWT_SECRET is shorter than 32 bytes: only `dev` takes it".to_owned());
    }
    let mut first = None;
    for (name, id) in PEOPLE {
        let user = UserId::parse(id).expect("the ids above are UUIDs");
        let email = format!("{name}@example.org");
        if let Ok(token) = authenticate::mint(secret, user, Some(&email), TOKEN_SECONDS) {
            lines.push(format!("  {name:<9} {token}"));
            first.get_or_insert(token);
        }
    }
    if let Some(token) = first {
        lines.push(String::new());
        lines.push("  paste this into `node` or the console of a browser:".to_owned());
        lines.push(String::new());
        lines.push(SNIPPET.replace("URL", url).replace("TOKEN", &token));
    }
    lines
}

/// An address that a client on this machine can use.
fn local(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

//! Every setting: its name, unit, default, limits and meaning. The only reader of the environment.
//!
//! All problems are collected, so that `gateway check` and a refused start name everything at once.

mod backends;
mod limits;
mod reader;
mod tokens;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use uuid::Uuid;

pub use backends::{
    Backends, BrokerChoice, Data, KafkaConfig, PresenceChoice, StoreChoice, Topics,
};
pub use limits::{
    ACK_LIMIT, Http, LAST_STEPS, LEASE_RENEWALS, Lifecycle, Persistor, PresenceTimes, Sockets,
};
use reader::Reader;
pub use reader::{Effective, Source};
pub use tokens::{KeySource, TokenRules};

/// What this process is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Socket.IO and HTTP, on Kafka, Redis and Postgres.
    Serve,
    /// The persistor, on Kafka and Postgres.
    Worker,
    /// Both in one process, durable on one data directory.
    Standalone,
    /// Standalone with a newcomer's conveniences.
    Dev,
    /// Schema and topics, then exit.
    Migrate,
}

impl Role {
    /// The sub-command.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Worker => "worker",
            Self::Standalone => "standalone",
            Self::Dev => "dev",
            Self::Migrate => "migrate",
        }
    }

    /// Whether backends may live inside this process.
    pub fn may_embed(self) -> bool {
        matches!(self, Self::Standalone | Self::Dev)
    }

    /// Whether clients connect to it.
    pub fn serves_clients(self) -> bool {
        matches!(self, Self::Serve | Self::Standalone | Self::Dev)
    }

    /// Whether it stores messages.
    pub fn persists(self) -> bool {
        matches!(self, Self::Worker | Self::Standalone | Self::Dev)
    }
}

/// What the command line says of `dev` and `standalone`; it wins over the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--data`.
    pub data_dir: Option<PathBuf>,
    /// `--ephemeral`: nothing is kept.
    pub is_ephemeral: bool,
}

/// `LOG_FORMAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    Text,
    Json,
}

/// All settings in force, checked one by one and against each other.
#[derive(Clone, Debug)]
pub struct Config {
    pub role: Role,
    /// `None`: not set, so a machine without IPv6 may fall back to IPv4.
    pub host: Option<IpAddr>,
    pub port: u16,
    pub admin_host: Option<IpAddr>,
    pub admin_port: u16,
    pub server_id: String,
    pub log_level: String,
    pub log_format: LogFormat,
    pub backends: Backends,
    pub tokens: TokenRules,
    pub http: Http,
    pub sockets: Sockets,
    pub presence: PresenceTimes,
    pub persistor: Persistor,
    pub lifecycle: Lifecycle,
    /// Every setting with its source, in the order of the documentation.
    pub effective: Vec<Effective>,
}

/// Settings are missing, malformed or contradict each other. Each line names its setting.
#[derive(Clone, Debug)]
pub struct ConfigError {
    pub problems: Vec<String>,
    /// What was understood nonetheless, with defaults for the rest: for `gateway check`.
    pub config: Box<Config>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// This process's environment. Names that are not UTF-8 are left out: no setting has one. What is not UTF-8 in a value is
/// replaced by U+FFFD, which no setting may have.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        })
        .collect()
}

impl Config {
    /// Reads and checks every setting for `role`.
    pub fn load(
        role: Role,
        environment: BTreeMap<String, String>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let r = &mut reader;
        let (host, port) = address(
            r,
            ("HOST", "address to listen on for Socket.IO and HTTP"),
            ("PORT", 3_000, "port for Socket.IO and HTTP"),
            role,
        );
        let (admin_host, admin_port) = address(
            r,
            ("ADMIN_HOST", "address to listen on for metrics and probes; never public"),
            ("ADMIN_PORT", 9_090, "port for metrics and probes; never public"),
            role,
        );
        let is_taken = port != 0 && port == admin_port && overlap(host, admin_host);
        if role.serves_clients() && is_taken {
            r.problem("ADMIN_PORT", format!("is {port} like PORT: they need two ports"));
        }
        let config = Self {
            role,
            host,
            port,
            admin_host,
            admin_port,
            tokens: TokenRules::read(r, role),
            server_id: server_id(r),
            backends: Backends::read(r, role, overrides),
            log_level: r.text(
                "LOG_LEVEL",
                "info",
                "`error`, `warn`, `info`, `debug`, `trace`, or `target=level` pairs with commas",
            ),
            log_format: r.choice(
                "LOG_FORMAT",
                &[("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)],
                0,
                "`text`, `json`, or `auto`: text on a terminal, else json",
            ),
            http: Http::read(r, role),
            sockets: Sockets::read(r),
            presence: PresenceTimes::read(r),
            persistor: Persistor::read(r),
            lifecycle: Lifecycle::read(r),
            effective: Vec::new(),
        };
        limits::cross_check(r, &config);
        check_log_level(r, &config.log_level);
        let Reader { problems, effective, .. } = reader;
        let config = Self { effective, ..config };
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError { problems, config: Box::new(config) })
        }
    }
}

fn address(
    r: &mut Reader,
    (host_name, host_help): (&'static str, &'static str),
    (port_name, port_default, port_help): (&'static str, u16, &'static str),
    role: Role,
) -> (Option<IpAddr>, u16) {
    let default = if role == Role::Dev { "127.0.0.1" } else { "::" };
    let is_set = r.raw(host_name).is_some();
    let text = r.text(host_name, default, host_help);
    let host = match text.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(host) if is_set || role == Role::Dev => Some(host),
        Ok(_) => None,
        Err(_) => {
            r.problem(
                host_name,
                format!("`{text}` is not an IP address such as `0.0.0.0` or `::`"),
            );
            None
        }
    };
    (host, r.number(port_name, "", port_default, 0..=u16::MAX, port_help))
}

/// Whether two listeners on one port would meet. Not set is `::`, which takes IPv4 as well.
fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    let all = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let (one, other) = (one.unwrap_or(all), other.unwrap_or(all));
    let covers = |one: IpAddr, other: IpAddr| {
        one == other || one == all || (one == Ipv4Addr::UNSPECIFIED && other.is_ipv4())
    };
    covers(one, other) || covers(other, one)
}

/// A lone word that is no level would be taken for the name of a target, and nothing would be logged.
fn check_log_level(r: &mut Reader, directives: &str) {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    for directive in directives.split(',').map(str::trim) {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if !is_level(level.trim()) {
            let levels = LEVELS.join(", ");
            r.problem("LOG_LEVEL", format!("`{level}` is no level: use one of {levels}"));
        }
    }
}

/// Longest server id that is accepted, in bytes: it is in every presence entry.
const SERVER_ID_BYTES_MAX: usize = 200;

fn server_id(r: &mut Reader) -> String {
    let help = "names this gateway in presence entries; unique among those that run";
    let suffix = Uuid::new_v4().simple().to_string();
    let default = r.raw("FLY_MACHINE_ID").unwrap_or_else(|| {
        format!("{}-{}", gethostname::gethostname().to_string_lossy(), &suffix[..8])
    });
    let server_id = r.text("SERVER_ID", &default, help);
    if server_id.len() > SERVER_ID_BYTES_MAX {
        r.problem("SERVER_ID", format!("is longer than {SERVER_ID_BYTES_MAX} bytes"));
    }
    server_id
}

#[cfg(test)]
mod tests;

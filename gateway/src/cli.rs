//! Sub-commands, signals and exit codes.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use gateway::{
    app::{self, AppError},
    authenticate,
    chat::UserId,
    config::{self, Config, ConfigError, Effective, KeySource, Overrides, Role},
    shutdown::Shutdown,
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::banner;

/// Exit code for settings and arguments that are missing, malformed or contradict each other.
const EXIT_SETTINGS: u8 = 64;

/// How long a minted token is valid unless `--hours` says otherwise.
const TOKEN_HOURS_DEFAULT: u64 = 24;

/// A realtime chat gateway: Socket.IO in front, Kafka behind. Without a sub-command: `dev`.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    // `--data` before a sub-command would be `dev`'s, and the sub-command's data elsewhere.
    args_conflicts_with_subcommands = true,
    after_help = "Settings are environment variables: `gateway check` shows them all."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Clone, Debug, Default, clap::Args)]
struct DataArguments {
    /// Where `dev` and `standalone` keep all their data [default: `DATA_DIR`, or `chat-data`]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep nothing: everything is in memory and gone when it stops
    #[arg(long, conflicts_with = "data")]
    ephemeral: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything in one process for development: needs no setting, prints tokens and a client to paste
    Dev(DataArguments),
    /// Everything in one process, durable, for one small machine; needs `JWT_SECRET`
    Standalone {
        /// Where to keep all data [default: `DATA_DIR`, or `chat-data`]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Socket.IO and HTTP, on Kafka, Redis and Postgres
    Serve,
    /// Store messages: from Kafka into Postgres and back
    Worker,
    /// Bring the database schema up to date and create missing topics
    Migrate,
    /// Mint an HS256 token with `JWT_SECRET`
    Token {
        /// The user's id, a UUID
        #[arg(long)]
        user: String,
        /// The user's e-mail address
        #[arg(long)]
        email: Option<String>,
        /// How long it is valid, in hours
        #[arg(long, default_value_t = TOKEN_HOURS_DEFAULT)]
        hours: u64,
    },
    /// Print the effective settings of a role, and everything that is wrong with them
    Check {
        #[arg(value_enum, default_value_t = CheckedRole::Serve)]
        role: CheckedRole,
        /// Say what each setting means
        #[arg(long)]
        explain: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CheckedRole {
    Serve,
    Worker,
    Standalone,
    Dev,
    Migrate,
}

impl From<CheckedRole> for Role {
    fn from(role: CheckedRole) -> Self {
        match role {
            CheckedRole::Serve => Self::Serve,
            CheckedRole::Worker => Self::Worker,
            CheckedRole::Standalone => Self::Standalone,
            CheckedRole::Dev => Self::Dev,
            CheckedRole::Migrate => Self::Migrate,
        }
    }
}

pub(crate) fn main() -> ExitCode {
    let Arguments { command, data } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let result = match command.unwrap_or(Command::Dev(data)) {
        Command::Dev(DataArguments { data, ephemeral }) => {
            start(Role::Dev, &Overrides { data_dir: data, is_ephemeral: ephemeral })
        }
        Command::Standalone { data } => {
            start(Role::Standalone, &Overrides { data_dir: data, is_ephemeral: false })
        }
        Command::Serve => start(Role::Serve, &Overrides::default()),
        Command::Worker => start(Role::Worker, &Overrides::default()),
        Command::Migrate => start(Role::Migrate, &Overrides::default()),
        Command::Token { user, email, hours } => token(&user, email.as_deref(), hours),
        Command::Check { role, explain } => Ok(check(role.into(), explain)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // Ours say all that there is to say; what anyhow was given a context for has its cause beside it.
            let is_ours = error.is::<AppError>() || error.is::<ConfigError>();
            complain(&if is_ours { error.to_string() } else { format!("{error:#}") });
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Help and version go to standard output, what is wrong with the arguments to standard error.
fn explain(error: &clap::Error) -> ExitCode {
    // A reader that has gone is not our fault.
    error.print().unwrap_or_default();
    if error.use_stderr() { ExitCode::from(EXIT_SETTINGS) } else { ExitCode::SUCCESS }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<AppError>() {
        error.exit_code()
    } else if error.is::<ConfigError>() {
        EXIT_SETTINGS
    } else {
        1
    }
}

fn start(role: Role, overrides: &Overrides) -> anyhow::Result<ExitCode> {
    let config = app::load(role, config::environment(), overrides)?;
    telemetry::start_logs(&config.log_level, config.log_format).map_err(AppError::from)?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let result = runtime.block_on(async {
        let shutdown = Shutdown::default();
        stop_on_signals(&shutdown)?;
        work(&config, shutdown).await.map_err(anyhow::Error::from)
    });
    // A consumer that hangs on an unreachable broker must not hold the exit.
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}

async fn work(config: &Config, shutdown: Shutdown) -> Result<(), AppError> {
    if config.role == Role::Migrate {
        let migration = async { app::migrate(config, &app::open(config).await?).await };
        let done = shutdown.requested.run_until_cancelled(migration).await;
        return done.unwrap_or(Err(AppError::PartStopped("a signal ended the migration".into())));
    }
    let bound = app::bind(config)?;
    app::run(config, bound, shutdown, |public, admin| {
        if let (true, Some(public)) = (config.role.may_embed(), public) {
            say(&banner::banner(config, public, admin));
        }
    })
    .await
}

/// SIGTERM and SIGINT ask for a drain; a second one ends the process at once.
fn stop_on_signals(shutdown: &Shutdown) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let requested = shutdown.requested.clone();
    // Ends with the process.
    tokio::spawn(async move {
        for code in [None, Some(1)] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if let Some(code) = code {
                std::process::exit(code);
            }
            requested.cancel();
        }
    });
    Ok(())
}

fn token(user: &str, email: Option<&str>, hours: u64) -> anyhow::Result<ExitCode> {
    let user =
        UserId::parse(user).map_err(|error| AppError::Setting(format!("--user: {error}")))?;
    let role = Role::Dev; // Any length of secret; the gateway that checks the token judges it.
    let config = Config::load(role, config::environment(), &Overrides::default())?;
    let KeySource::Secret(secret) = &config.tokens.key else {
        return Err(
            AppError::Setting("JWT_ALGORITHM: only HS256 tokens can be minted".into()).into()
        );
    };
    if config.tokens.is_generated {
        return Err(AppError::Setting("JWT_SECRET: is not set".into()).into());
    }
    let seconds = hours.saturating_mul(3_600);
    say(&authenticate::mint(secret, user, email, seconds).context("minting the token")?);
    Ok(ExitCode::SUCCESS)
}

fn check(role: Role, explain: bool) -> ExitCode {
    let (config, problems) = match app::load(role, config::environment(), &Overrides::default()) {
        Ok(config) => (config, Vec::new()),
        Err(ConfigError { config, problems }) => (*config, problems),
    };
    say(&table(&config.effective, explain));
    if problems.is_empty() {
        say(&format!("\nthe settings of `{}` are fine", role.as_str()));
        return ExitCode::SUCCESS;
    }
    complain(&problems.join("\n"));
    ExitCode::from(EXIT_SETTINGS)
}

fn table(effective: &[Effective], explain: bool) -> String {
    let width = |column: fn(&Effective) -> &str| {
        effective.iter().map(|one| column(one).chars().count()).max().unwrap_or_default()
    };
    let (names, values, units) = (width(|e| e.name), width(|e| &e.value), width(|e| e.unit));
    let lines = effective.iter().map(|Effective { name, value, unit, source, help }| {
        let source = source.as_str();
        let line = format!("{name:names$}  {value:values$}  {unit:units$}  {source}");
        let line = line.trim_end().to_owned();
        if explain { format!("{line}\n    {help}") } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// To standard output; a reader that has gone is not our fault.
fn say(text: &str) {
    writeln!(io::stdout(), "{text}").unwrap_or_default();
}

fn complain(text: &str) {
    for line in text.lines() {
        writeln!(io::stderr(), "gateway: {line}").unwrap_or_default();
    }
}

//! `harness run`: runs scenarios, shows each as it ends and every failure in full, writes the reports.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum as _, builder::FalseyValueParser};

use super::{
    FAILED, FIXTURES, LACKING, NOTHING_MATCHED, SUCCESS, UNKNOWN, UNREVIEWED, WRONG_FILE,
    interrupt::interrupted,
    outcome::{exit_code, read_known, tell_failures},
    progress::Progress,
    site, snapshots,
    terminal::{note, say},
    unreadable,
};
use crate::{
    deploy::Servers,
    known::{Known, compare},
    plural::counted,
    report,
    runner::{self, Event, Fixture, Options, Running, Selection, Target, find},
    scenario::Client,
    stack::{Stack, StackName},
    verdict::{Run as ScenarioRun, Verdict},
};

/// What has run so far, by number.
type Runs = BTreeMap<usize, ScenarioRun>;

const AFTER_HELP: &str = "\
Without --url it starts what each scenario asks for: real Kafka, Redis and Postgres with gateways and workers on them, or
with --embedded single processes without any server.

Exit codes: 0 passed, 1 a scenario failed, 2 a file is wrong, 3 the machine or the servers are, 4 nothing matched,
5 flaky under --repeat, 6 snapshots are to be reviewed, 7 unknown: nothing was seen that could have failed. Broken off by
Ctrl-C 130, by SIGTERM 143.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct Run {
    /// Files, or folders with `.yaml` files in them.
    #[arg(default_value = FIXTURES)]
    paths: Vec<PathBuf>,
    /// Only scenarios with this tag; again for more.
    #[arg(long)]
    tag: Vec<String>,
    /// Only scenarios with this text in their file's name or their sentence, in any letter case; again for more.
    #[arg(long)]
    filter: Vec<String>,
    /// Scenarios at once.
    #[arg(long, default_value_t = 6, value_parser = at_least_one)]
    jobs: usize,
    /// Runs each scenario so often; one that both passes and fails is flaky.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    repeat: usize,
    /// What made-up values follow from; printed, so that a run can be repeated.
    #[arg(long)]
    seed: Option<u64>,
    /// Begin nothing more after the first failure.
    #[arg(long)]
    fail_fast: bool,
    /// Show the steps of green scenarios too, and how much of its time each took.
    #[arg(long, short)]
    verbose: bool,
    /// Write no snapshot for review: a difference fails all the same.
    #[arg(long, env = "CI", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    ci: bool,
    /// Folder for report.html, junit.xml, runs.jsonl and the bundle of each failure.
    #[arg(long, default_value = "target/harness")]
    output: PathBuf,
    /// On embedded backends, one process a scenario, without any server.
    #[arg(long, conflicts_with = "url")]
    embedded: bool,
    /// A list of ways in which the gateway is known to differ from the contract: exactly those is a pass.
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// Every device uses this client library, whatever its scenario says.
    #[arg(long, value_enum)]
    client: Option<Client>,
    /// The gateway's program; the one beside this program without.
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// Use the stack of this name, and leave it up; without, one that lives as long as the run.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["url", "embedded"])]
    stack: Option<StackName>,
    /// A gateway that runs already, such as <http://127.0.0.1:3000>; again for gw2, and so on.
    #[arg(long)]
    url: Vec<String>,
    /// The secret of those gateways; without `--url` it means nothing.
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,
    /// Their Redis, for scenarios that look there.
    #[arg(long, requires = "url", conflicts_with_all = ["stack", "embedded"])]
    redis_url: Option<String>,
    /// Their Postgres, for scenarios that look there.
    #[arg(long, requires = "url", conflicts_with_all = ["stack", "embedded"])]
    database_url: Option<String>,
    /// Their Kafka, for scenarios that look there.
    #[arg(
        long,
        requires = "url",
        conflicts_with_all = ["stack", "embedded"],
        value_name = "HOST:PORT,..."
    )]
    kafka_brokers: Option<String>,
}

impl Run {
    pub(super) async fn run(self) -> anyhow::Result<u8> {
        let found = match find(&self.paths) {
            Ok(found) => found,
            Err(error) => return unreadable(error),
        };
        let selection = Selection { tags: self.tag.clone(), filters: self.filter.clone() };
        let (meant, aside): (Vec<_>, Vec<_>) =
            found.broken.iter().partition(|broken| selection.may_take(broken));
        if !meant.is_empty() {
            for problem in meant.iter().flat_map(|broken| &broken.problems) {
                note(&format!("{problem}\n"));
            }
            let count = meant.iter().map(|broken| broken.problems.len()).sum();
            note(&format!("nothing was run: {}", counted(count, "mistake")));
            return Ok(WRONG_FILE);
        }
        for broken in aside {
            note(&format!(
                "{} is left aside: `harness lint` says what is wrong with it",
                broken.file
            ));
        }
        let mut fixtures = found.fixtures;
        fixtures.retain(|fixture| selection.takes(fixture));
        if let Some(client) = self.client {
            for fixture in &mut fixtures {
                fixture.scenario.use_client(client);
            }
        }
        if fixtures.is_empty() {
            note("no scenario matches");
            return Ok(NOTHING_MATCHED);
        }
        let known = match self.known.as_deref().map(read_known).transpose() {
            Ok(known) => known,
            Err(error) => {
                note(&format!("error: {error:#}"));
                return Ok(WRONG_FILE);
            }
        };
        if let Err(error) = fs::create_dir_all(&self.output) {
            note(&format!("error: making `{}`: {error}", self.output.display()));
            return Ok(LACKING);
        }
        let stack = self.stack()?;
        let (runs, servers) = (RefCell::default(), OnceCell::new());
        let ran = tokio::select! {
            ran = self.go(&fixtures, known.as_ref(), stack.as_ref(), &servers, &runs) => ran,
            code = interrupted() => self.broken_off(&fixtures, &runs.take()).map(|()| code),
        };
        // Whoever asks twice does not want to wait.
        tokio::select! {
            () = self.leave(stack, servers.get()) => {}
            code = interrupted() => return Ok(code),
        }
        ran
    }

    /// Runs them, and says what came of it.
    async fn go(
        &self,
        fixtures: &[Fixture],
        known: Option<&Known>,
        stack: Option<&Stack>,
        servers: &OnceCell<Servers>,
        runs: &RefCell<Runs>,
    ) -> anyhow::Result<u8> {
        let scratch = tempfile::tempdir().context("making a folder for logs and data")?;
        let options = match self.options(scratch.path(), stack).await {
            Ok(options) => options,
            Err(error) => {
                note(&format!("error: {error:#}"));
                return Ok(LACKING);
            }
        };
        if let Target::Real(up) = &options.target {
            servers.get_or_init(|| up.clone());
        }
        let began = Instant::now();
        self.watch(fixtures, &options, runs).await;
        let runs: Vec<ScenarioRun> = runs.take().into_values().collect();
        let unreviewed = self.tell(fixtures, &runs)?;
        let unbegun = (fixtures.len() * options.repeat).saturating_sub(runs.len());
        say(&format!("seed {}, {:.1} s", options.seed, began.elapsed().as_secs_f64()))?;
        if let Some(known) = known {
            let comparison = compare(known, &runs);
            say(&report::differences(&comparison))?;
            let is_seen = runs.iter().any(|it| !matches!(it.verdict, Verdict::Skipped(_)));
            return Ok(match (is_seen, comparison.is_exact()) {
                (false, _) => UNKNOWN,
                (true, true) => SUCCESS,
                (true, false) => FAILED,
            });
        }
        for line in report::flaky(&runs) {
            say(&line)?;
        }
        say(&report::summary(&runs, unbegun))?;
        Ok(match exit_code(&runs) {
            SUCCESS | UNKNOWN if unreviewed > 0 => UNREVIEWED,
            code => code,
        })
    }

    /// What ran until somebody broke it off: told like the whole, but for its snapshots.
    fn broken_off(&self, fixtures: &[Fixture], runs: &Runs) -> anyhow::Result<()> {
        let runs: Vec<ScenarioRun> = runs.values().cloned().collect();
        say("")?;
        tell_failures(&runs)?;
        self.write_reports(&runs)?;
        let unbegun = (fixtures.len() * self.repeat).saturating_sub(runs.len());
        if let Some(run) = runs.first() {
            say(&format!("seed {}", run.seed))?;
        }
        say(&format!("broken off: {}", report::summary(&runs, unbegun)))?;
        Ok(())
    }

    /// The servers that scenarios run on; `None`: on embedded backends, or against gateways that run already.
    fn stack(&self) -> anyhow::Result<Option<Stack>> {
        if self.embedded || !self.url.is_empty() {
            return Ok(None);
        }
        let name = match &self.stack {
            Some(name) => name.clone(),
            None => format!("run-{}", process::id()).parse()?,
        };
        Ok(Some(Stack::named(name)))
    }

    /// Ends a stack that is ours; one that stays is left running, whatever scenarios have done to it.
    async fn leave(&self, stack: Option<Stack>, servers: Option<&Servers>) {
        let Some(stack) = stack else { return };
        let left = match &self.stack {
            None => stack.down(&|_| {}).await.map(drop),
            Some(_) => stack.mend().await,
        };
        if let Some(servers) = servers.filter(|_| self.stack.is_some() && left.is_ok()) {
            servers.forget_all().await;
        }
        if let Err(error) = left {
            note(&format!("error: the servers could not be left as they should be: {error}"));
        }
    }

    /// The failures, the snapshots, the reports; how many snapshots are to be reviewed.
    fn tell(&self, fixtures: &[Fixture], runs: &[ScenarioRun]) -> anyhow::Result<usize> {
        say("")?;
        tell_failures(runs)?;
        // With other clients or gateways than the fixture's own a transcript is another one.
        let is_own = self.client.is_none() && self.url.is_empty();
        let unreviewed = if is_own { snapshots::keep(fixtures, runs, !self.ci)? } else { 0 };
        self.write_reports(runs)?;
        Ok(unreviewed)
    }

    fn write_reports(&self, runs: &[ScenarioRun]) -> anyhow::Result<()> {
        match report::write_all(runs, &self.output) {
            Ok(()) => say(&format!("report: {}", self.output.join(report::PAGE).display()))?,
            // The verdict stands without them.
            Err(error) => note(&format!("error: the reports could not be written: {error}")),
        }
        Ok(())
    }

    async fn target(&self, stack: Option<&Stack>) -> anyhow::Result<Target> {
        if let Some(stack) = stack {
            if self.stack.is_some() && stack.status().await?.is_none() {
                let name = stack.name();
                note(&format!(
                    "there is no stack `{name}` yet: it is started, and stays up until `harness stack down --name {name}`"
                ));
            }
            return Ok(Target::Real(Servers::up(stack.clone(), note).await?));
        }
        if self.embedded {
            return Ok(Target::Embedded);
        }
        let (gateways, signer) = site::gateways(&self.url, self.jwt_secret.as_ref()).await?;
        site::redis_answers(self.redis_url.as_deref()).await?;
        site::database_answers(self.database_url.as_deref()).await?;
        site::kafka_answers(self.kafka_brokers.as_deref()).await?;
        Ok(Target::Running(Running {
            gateways,
            signer,
            redis_url: self.redis_url.clone(),
            database_url: self.database_url.clone(),
            brokers: self.kafka_brokers.clone(),
        }))
    }

    /// What to run with. Nothing is started if something is missing.
    async fn options(&self, directory: &Path, stack: Option<&Stack>) -> anyhow::Result<Options> {
        let program = match &self.gateway {
            Some(program) => program.clone(),
            None => {
                std::env::current_exe().context("finding the gateway")?.with_file_name("gateway")
            }
        };
        if self.url.is_empty() && !program.is_file() {
            let help = "build it with `cargo build -p gateway`, or name it with `--gateway`";
            bail!("there is no gateway `{}`: {help}", program.display());
        }
        let target = self.target(stack).await?;
        // Whatever differs from run to run.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Options {
            target,
            program,
            directory: directory.to_owned(),
            bundles: self.output.join("failures"),
            jobs: self.jobs,
            seed: self.seed.unwrap_or(now.as_secs() % 1_000_000),
            flags: self.flags(),
            repeat: self.repeat,
            is_fail_fast: self.fail_fast,
        })
    }

    /// What decides on what scenarios run, as it was given; a secret, and an address that may hold one, as a variable of a
    /// shell.
    fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if self.embedded {
            flags.push("--embedded".to_owned());
        }
        let mut add = |name: &str, value: String| flags.extend([name.to_owned(), value]);
        if let Some(stack) = &self.stack {
            add("--stack", stack.to_string());
        }
        if let Some(program) = &self.gateway {
            add("--gateway", program.display().to_string());
        }
        if let Some(client) = self.client.and_then(|client| client.to_possible_value()) {
            add("--client", client.get_name().to_owned());
        }
        for url in &self.url {
            add("--url", url.clone());
        }
        let given = [
            ("--jwt-secret", "$JWT_SECRET", self.jwt_secret.is_some()),
            ("--redis-url", "$REDIS_URL", self.redis_url.is_some()),
            ("--database-url", "$DATABASE_URL", self.database_url.is_some()),
        ];
        for (name, variable, _) in
            given.into_iter().filter(|(.., is_given)| *is_given && !self.url.is_empty())
        {
            add(name, variable.to_owned());
        }
        if let Some(brokers) = &self.kafka_brokers {
            add("--kafka-brokers", brokers.clone());
        }
        flags
    }

    /// Runs them, a line for each as it ends, and keeps them in `runs`.
    async fn watch(&self, fixtures: &[Fixture], options: &Options, runs: &RefCell<Runs>) {
        let progress = Progress::new(fixtures.len() * options.repeat);
        runner::run(fixtures, options, &|event| match event {
            Event::Began { number, fixture } => progress.began(number, &fixture.file),
            Event::Step { number, text } => progress.step(number, text),
            Event::Done { number, run } => {
                progress.done(number, &report::headline(&run, self.verbose));
                runs.borrow_mut().insert(number, *run);
            }
        })
        .await;
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "write 1 or more".to_owned())
}

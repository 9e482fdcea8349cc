//! Runs many scenarios: what each needs, which deployment it gets, and several at once where their stacks allow.
//!
//! Owns the schedule. Refuses to know how results are shown: it hands each run to who asked.

mod bundle;
mod lacking;
mod needs;
mod pool;
mod selection;
mod versions;

use std::{
    cell::Cell,
    collections::BTreeMap,
    env,
    net::SocketAddr,
    path::{Component, Path, PathBuf},
};

use futures_util::{StreamExt as _, stream};

use needs::Needs;
use pool::Pool;

pub use selection::{Broken, Fixture, Found, Selection, find};

use crate::{
    deploy::{Servers, Shape, Signer, Site, Topics},
    engine,
    history::{Entry, What},
    verdict::{Run, Verdict},
};

/// What scenarios run against.
#[derive(Clone, Debug)]
pub enum Target {
    /// Processes of our own, on the servers of a stack.
    Real(Servers),
    /// Processes of our own, on embedded backends.
    Embedded,
    /// Gateways that run already.
    Running(Running),
}

/// Gateways that run already, ours or others of the contract, and what is known of their backends.
#[derive(Clone, Debug)]
pub struct Running {
    /// `gw1` is the first.
    pub gateways: Vec<SocketAddr>,
    pub signer: Signer,
    pub redis_url: Option<String>,
    pub database_url: Option<String>,
    pub brokers: Option<String>,
}

impl Running {
    fn site(&self) -> Site {
        let kafka = self.brokers.clone();
        Site {
            gateways: self.gateways.clone(),
            admin: BTreeMap::new(),
            server_ids: BTreeMap::new(),
            signer: self.signer.clone(),
            redis_url: self.redis_url.clone(),
            database_url: self.database_url.clone(),
            kafka: kafka.map(|brokers| Topics { brokers, prefix: String::new() }),
            deployment: None,
        }
    }
}

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    pub target: Target,
    /// The gateway's binary.
    pub program: PathBuf,
    /// Where deployments keep logs and data.
    pub directory: PathBuf,
    /// Where the bundle of each failure goes.
    pub bundles: PathBuf,
    /// Scenarios at once.
    pub jobs: usize,
    pub seed: u64,
    /// What each run says to be run again with, see [`Run::again`].
    pub flags: Vec<String>,
    pub repeat: usize,
    pub is_fail_fast: bool,
}

/// What happens while scenarios run, in the order in which it happens.
#[derive(Debug)]
pub enum Event<'r> {
    /// A scenario begins; its number says which one later events are about.
    Began { number: usize, fixture: &'r Fixture },
    /// A step of it begins.
    Step { number: usize, text: &'r str },
    /// It is over. The run is whole, its bundle written.
    Done { number: usize, run: Box<Run> },
}

/// Runs all of them; `on` sees what happens.
pub async fn run(fixtures: &[Fixture], options: &Options, on: &dyn Fn(Event<'_>)) {
    let pool = Pool::new(options);
    let is_over = Cell::new(false);
    let jobs = (0..options.repeat).flat_map(|round| fixtures.iter().map(move |it| (round, it)));
    // What needs the servers for itself comes last, one after the other.
    let (alone, together): (Vec<_>, Vec<_>) =
        jobs.enumerate().partition(|(_, (_, it))| Needs::of(&it.scenario.steps).servers);
    for (batch, jobs) in [(together, options.jobs), (alone, 1)] {
        let runs = batch.into_iter().map(|(number, (round, fixture))| {
            let (pool, is_over) = (&pool, &is_over);
            async move {
                if is_over.get() {
                    return;
                }
                on(Event::Began { number, fixture });
                let on_step = |text: &str| on(Event::Step { number, text });
                let run = one(fixture, options, pool, round, &on_step).await;
                if options.is_fail_fast && matches!(run.verdict, Verdict::Fail | Verdict::Broken(_))
                {
                    is_over.set(true);
                }
                on(Event::Done { number, run: Box::new(run) });
            }
        });
        stream::iter(runs).buffer_unordered(jobs.max(1)).collect::<()>().await;
        // Idle ones would make a noise in their logs when others stop the servers under them.
        pool.clear().await;
    }
}

async fn one(
    fixture: &Fixture,
    options: &Options,
    pool: &Pool<'_>,
    round: usize,
    on_step: &dyn Fn(&str),
) -> Run {
    let Fixture { file, source, scenario } = fixture;
    let seed = options.seed.wrapping_add(round as u64);
    let needs = Needs::of(&scenario.steps);
    if let Some(reason) = lacking::lacking(scenario, needs, &options.target).await {
        return empty(fixture, seed, options, Verdict::Skipped(reason));
    }
    let is_shared = !needs.breaks_processes();
    let (site, deployment) = match &options.target {
        Target::Running(running) => (running.site(), None),
        Target::Real(_) | Target::Embedded => {
            let is_real = matches!(options.target, Target::Real(_));
            match pool.take(&Shape::of(&scenario.stack, is_real), is_shared).await {
                Ok(deployment) => (deployment.site(), Some(deployment)),
                Err(error) => {
                    return empty(fixture, seed, options, Verdict::Broken(error.to_string()));
                }
            }
        }
    };
    // Each file has values of its own, which follow from the seed alone.
    let place = normal(Path::new(file)).display().to_string();
    let name =
        place.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let values = seed.wrapping_add(name);
    let marks = bundle::marks(&site);
    let mut run = engine::run(file, source, scenario, site.clone(), values, on_step).await;
    (run.seed, run.flags) = (seed, options.flags.clone());
    if !matches!(run.verdict, Verdict::Pass | Verdict::Unknown(_)) {
        run.bundle = bundle::write(&run, &site, &marks, round, &options.bundles).await;
    }
    drop(site);
    // Others need them next, whatever has become of this one.
    if let (Target::Real(servers), Verdict::Broken(_) | Verdict::Fail) =
        (&options.target, &run.verdict)
        && needs.servers
        && let Err(error) = servers.mend().await
        && let Verdict::Broken(reason) = &run.verdict
    {
        run.verdict = Verdict::Broken(format!("{reason}; and {error}"));
    }
    if let Some(deployment) = deployment {
        // After an outage of Kafka a coordinator may still turn members out whose silence it has just noticed.
        let has_lost_kafka =
            |entry: &Entry| matches!(&entry.what, What::Broken { what, .. } if what == "kafka");
        let is_good = matches!(run.verdict, Verdict::Pass)
            && !run.history.entries().iter().any(has_lost_kafka);
        pool.give_back(deployment, is_shared, is_good).await;
    }
    run
}

/// A file from the current directory on, however somebody wrote it: `./x.yaml` is `x.yaml`.
fn normal(file: &Path) -> PathBuf {
    // Without a current directory the file could not have been read, unless its path begins at the root.
    let here = env::current_dir().unwrap_or_default();
    let mut whole = PathBuf::new();
    for part in here.join(file).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => whole.push(part),
        }
    }
    whole.strip_prefix(&here).map(Path::to_owned).unwrap_or(whole)
}

fn empty(fixture: &Fixture, seed: u64, options: &Options, verdict: Verdict) -> Run {
    Run {
        verdict,
        seed,
        flags: options.flags.clone(),
        ..Run::new(&fixture.file, &fixture.source, &fixture.scenario.scenario.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_however_it_is_written() {
        let here = env::current_dir().unwrap();
        let whole = here.join("a/x.yaml").display().to_string();
        for written in ["a/x.yaml", "./a/x.yaml", "a/./b/../x.yaml", &whole] {
            assert_eq!(normal(Path::new(written)), Path::new("a/x.yaml"), "{written}");
        }
        assert_eq!(normal(Path::new("/other/x.yaml")), Path::new("/other/x.yaml"));
    }
}

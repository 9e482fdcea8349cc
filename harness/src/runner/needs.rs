//! What a scenario looks at and what it breaks: from that follows where it can run, and beside whom.

use crate::scenario::{Port, Spanned, Step};

/// What the steps of a scenario look at or break.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a set of eight things")]
pub(super) struct Needs {
    pub(super) redis: bool,
    pub(super) database: bool,
    pub(super) kafka: bool,
    /// Asks on the port for operators.
    pub(super) admin: bool,
    pub(super) asks_workers: bool,
    /// Breaks gateways.
    pub(super) processes: bool,
    pub(super) workers: bool,
    /// Breaks Kafka, Redis or Postgres: every scenario on the same servers would notice.
    pub(super) servers: bool,
}

impl Needs {
    /// Every scenario on the same processes would notice.
    pub(super) fn breaks_processes(self) -> bool {
        self.processes || self.workers || self.servers
    }

    pub(super) fn of(steps: &[Spanned<Step>]) -> Self {
        let mut needs = Self::default();
        needs.read(steps);
        needs
    }

    fn read(&mut self, steps: &[Spanned<Step>]) {
        for step in steps {
            match &step.value {
                Step::Expect(expect) => {
                    self.redis |= expect.redis.is_some();
                    self.database |= expect.stored.is_some();
                    self.kafka |= expect.topic.is_some();
                }
                Step::Publish(_) => self.kafka = true,
                Step::Request(request) => {
                    self.admin |= request.port == Port::Admin;
                    let to = request.to.as_ref();
                    self.asks_workers |= to.is_some_and(|to| to.value.starts_with("worker"));
                }
                Step::Stop(stop) | Step::Restart(stop) | Step::RollingRestart(stop) => {
                    self.breaks(&stop.what.value);
                }
                Step::Start(what) | Step::Freeze(what) | Step::Thaw(what) => {
                    self.breaks(&what.value);
                }
                Step::Parallel(parallel) => parallel.0.iter().for_each(|block| self.read(block)),
                Step::Repeat(repeat) => self.read(&repeat.steps),
                Step::Use(shared) => self.read(&shared.steps),
                Step::Connect(_)
                | Step::Disconnect(_)
                | Step::Join(_)
                | Step::Leave(_)
                | Step::Send(_)
                | Step::Heartbeat(_)
                | Step::Raw(_)
                | Step::Wait(_)
                | Step::Deliver(_)
                | Step::Never(_)
                | Step::Crash(_)
                | Step::Network(_) => {}
            }
        }
    }

    fn breaks(&mut self, what: &str) {
        self.servers |= ["kafka", "redis", "postgres"].contains(&what);
        self.workers |= what.starts_with("worker");
        self.processes |= what.starts_with("gw") || what == "gateways";
    }
}

//! Why a scenario cannot run where it is to run: everything that is missing, so that nobody mends one thing after the other.

use super::{Running, Target, needs::Needs};
use crate::{
    client,
    deploy::Shape,
    scenario::{Backends, Client, Scenario},
};

/// What is missing, if anything is.
pub(super) async fn lacking(scenario: &Scenario, needs: Needs, target: &Target) -> Option<String> {
    let clients = clients(scenario).await;
    let stack = &scenario.stack;
    let mut reasons = match target {
        Target::Real(_) if stack.backends == Backends::Embedded => {
            vec!["it is about embedded backends: run it with `--embedded`".to_owned()]
        }
        Target::Real(_) => Vec::new(),
        Target::Embedded => embedded(scenario, needs),
        Target::Running(running) => foreign(scenario, needs, running),
    };
    reasons.extend(clients);
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

async fn clients(scenario: &Scenario) -> Vec<String> {
    let devices = || scenario.actors.values().flat_map(|devices| devices.value.values());
    let mut reasons = Vec::new();
    for kind in [Client::Rust, Client::Raw, Client::Js] {
        if devices().any(|device| device.value.client == kind) {
            reasons.extend(client::lacking(kind).await);
        }
    }
    reasons
}

fn embedded(scenario: &Scenario, needs: Needs) -> Vec<String> {
    let stack = &scenario.stack;
    let mut reasons = Vec::new();
    let mut add = |is_so: bool, reason: &str| reasons.extend(is_so.then(|| reason.to_owned()));
    add(stack.backends == Backends::Real, "it asks for real backends");
    add(stack.gateways.value > 1, "it needs several gateways");
    let servers = [(needs.redis, "Redis"), (needs.database, "Postgres"), (needs.kafka, "Kafka")];
    let looked_at: Vec<String> =
        servers.iter().filter(|(is_so, _)| *is_so).map(|(_, it)| (*it).to_owned()).collect();
    add(!looked_at.is_empty(), &format!("it looks into {}", and(&looked_at)));
    add(needs.servers || needs.workers, "it breaks workers or servers");
    add(needs.asks_workers, "it asks a worker");
    let keeps_redis = scenario.snapshot.as_ref().is_some_and(|kept| kept.value.redis.is_some());
    add(keeps_redis, "its snapshot is of Redis");
    if !reasons.is_empty() {
        reasons = vec![format!("{}, and an embedded gateway is one process", and(&reasons))];
    }
    reasons
}

fn foreign(scenario: &Scenario, needs: Needs, running: &Running) -> Vec<String> {
    let Running { gateways, redis_url, database_url, brokers, .. } = running;
    let stack = &scenario.stack;
    let mut reasons = Vec::new();
    let mut add = |is_so: bool, reason: &str| reasons.extend(is_so.then(|| reason.to_owned()));
    add(gateways.len() < stack.gateways.value, "it needs a further gateway (give `--url` again)");
    add(needs.breaks_processes(), "it breaks processes, and these are not ours");
    add(needs.redis && redis_url.is_none(), "it looks into Redis (give `--redis-url`)");
    add(needs.database && database_url.is_none(), "it looks into Postgres (give `--database-url`)");
    add(needs.kafka && brokers.is_none(), "it looks into Kafka (give `--kafka-brokers`)");
    add(needs.admin, "it asks on the admin port, and only that of our own gateways is known");
    let is_own = !Shape::of(stack, true).settings.is_empty();
    add(is_own, "its gateways have times or settings of their own (`stack`)");
    reasons
}

/// `a, b and c`.
fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_missing_is_said() {
        let scenario = crate::scenario::parse(
            "x.yaml",
            "scenario: x\nstack: { gateways: 2 }\nactors: {}\nsteps: []",
        )
        .unwrap();
        let needs = Needs { redis: true, workers: true, ..Needs::default() };
        assert_eq!(
            embedded(&scenario, needs),
            [
                "it needs several gateways, it looks into Redis and it breaks workers or servers, and an embedded gateway is one process"
            ]
        );
    }
}

//! Steps that break something, or mend it.

use std::time::Duration;

use super::steps::{Running, StepResult, wrong};
use crate::{
    deploy::Deployment,
    scenario::{Crash, CrashHow, EndHow, Network, NetworkState, Stop, Who},
    verdict::Failure,
    wire::NetworkChange,
};

/// How late everything comes over a slow network where the step does not say.
const SLOW: Duration = Duration::from_millis(200);

impl Running<'_> {
    pub(super) async fn crash(&self, crash: &Crash) -> StepResult {
        let (change, word) = match crash.how {
            CrashHow::Rst => (NetworkChange::Cut, "was reset"),
            CrashHow::Fin => (NetworkChange::Finished, "was closed without a word"),
            CrashHow::Freeze => (NetworkChange::Frozen, "froze"),
            CrashHow::Blackhole => (NetworkChange::Blackhole, "fell into a black hole"),
        };
        for name in self.world.who(&Who::One(crash.device.value.clone())) {
            let mut device = self.world.devices[&name].lock().await;
            self.world.broken(&name, format!("{name} {word}"), true);
            device.crash(change);
        }
        Ok(None)
    }

    pub(super) async fn network(&self, network: &Network) -> StepResult {
        for name in self.world.who(&Who::One(network.device.value.clone())) {
            let mut device = self.world.devices[&name].lock().await;
            match network.state {
                NetworkState::Cut => {
                    self.world.broken(
                        &name,
                        format!("{name}'s network was cut, and its connection with it"),
                        true,
                    );
                    device.network(NetworkChange::Cut);
                }
                NetworkState::Slow => {
                    let delay = network.delay.as_ref().map_or(SLOW, |it| self.world.length(it));
                    let text = format!("{name}'s network became slow, {} ms", delay.as_millis());
                    self.world.broken(&name, text, true);
                    device.network(NetworkChange::Slow(delay));
                }
                NetworkState::Resume => {
                    device.network(NetworkChange::Open);
                    self.world.mended(&name, format!("{name}'s network works again"));
                }
            }
        }
        Ok(None)
    }

    pub(super) async fn stop(&self, stop: &Stop) -> StepResult {
        let what = &stop.what.value;
        let word = match stop.how {
            EndHow::Kill => "was killed",
            EndHow::Term => "was asked to end",
            EndHow::Freeze => "froze",
        };
        self.world.broken(what, format!("{what} {word}"), false);
        self.end(what, stop.how).await
    }

    pub(super) async fn start(&self, what: &str) -> StepResult {
        let expected = format!("`{what}` starts and is ready");
        self.on(what, expected, async |deployment| deployment.start_again(what).await).await?;
        self.world.mended(what, format!("{what} runs again"));
        Ok(None)
    }

    pub(super) async fn freeze(&self, what: &str) -> StepResult {
        self.world.broken(what, format!("{what} froze"), false);
        let expected = format!("`{what}` runs and can be frozen");
        self.on(what, expected, async |deployment| deployment.freeze(what).await).await
    }

    pub(super) async fn thaw(&self, what: &str) -> StepResult {
        let expected = format!("`{what}` runs and can be thawed");
        self.on(what, expected, async |deployment| deployment.thaw(what).await).await?;
        self.world.mended(what, format!("{what} goes on"));
        Ok(None)
    }

    pub(super) async fn restart(&self, stop: &Stop) -> StepResult {
        self.stop(stop).await?;
        self.start(&stop.what.value).await
    }

    pub(super) async fn rolling_restart(&self, stop: &Stop) -> StepResult {
        let deployment = self.deployment(&stop.what.value)?;
        let (prefix, count) = match stop.what.value.as_str() {
            "workers" => ("worker", deployment.shape.workers),
            _ => ("gw", deployment.shape.gateways),
        };
        for n in 1..=count {
            let what = format!("{prefix}{n}");
            let word = if stop.how == EndHow::Kill { "was killed" } else { "was asked to end" };
            self.world.broken(&what, format!("{what} {word}"), false);
            self.end(&what, stop.how).await?;
            self.start(&what).await?;
        }
        Ok(None)
    }

    async fn end(&self, what: &str, how: EndHow) -> StepResult {
        let expected = match how {
            EndHow::Kill => format!("`{what}` ends when it is killed"),
            EndHow::Term => format!("`{what}` ends when it is asked to"),
            EndHow::Freeze => format!("`{what}` freezes"),
        };
        self.on(what, expected, async |deployment| deployment.end(what, how).await).await
    }

    async fn on(
        &self,
        what: &str,
        expected: String,
        act: impl AsyncFnOnce(&Deployment) -> Result<(), crate::deploy::DeployError>,
    ) -> StepResult {
        let deployment = self.deployment(what)?;
        act(deployment).await.map_err(|error| wrong(expected, error.to_string()))?;
        Ok(None)
    }

    fn deployment(&self, what: &str) -> Result<&Deployment, Failure> {
        let deployment = self.world.site.deployment.as_deref();
        deployment.ok_or_else(|| {
            wrong(format!("`{what}` can be broken"), "it is not run by this harness")
        })
    }
}

//! Steps that break something, and who is gone after them.

use super::{Linter, people::numbered};
use crate::scenario::{Backends, Crash, EndHow, Network, NetworkState, Place, Spanned, Step, Stop};

/// The servers of a stack.
const SERVERS: [&str; 3] = ["kafka", "redis", "postgres"];

impl Linter<'_> {
    /// One of the steps that break or mend something.
    pub(super) fn fault(&mut self, step: &Step) {
        if let Step::Crash(crash) = step {
            self.crash(crash);
        } else if let Step::Network(network) = step {
            self.network(network);
        } else if let Step::Stop(Stop { what, how }) = step {
            if self.process(what) {
                self.stop(what, *how);
            }
        } else if let Step::Restart(Stop { what, how }) = step {
            self.must_end(*how, what);
            if self.process(what) {
                self.end_of_gateway(&what.value);
                self.known.runs(&what.value);
            }
        } else if let Step::RollingRestart(Stop { what, how }) = step {
            self.must_end(*how, what);
            let known = ["gateways".to_owned(), "workers".to_owned()];
            if self.is_one_of("group of processes", &what.value, &known, what.into()) {
                let stack = &self.scenario.stack;
                let all = match what.value.as_str() {
                    "gateways" => numbered("gw", stack.gateways.value),
                    _ => numbered("worker", stack.workers.value),
                };
                if all.is_empty() {
                    self.report(self.problem(what, "there is none of them to restart"));
                }
                for process in all {
                    self.end_of_gateway(&process);
                    self.known.runs(&process);
                }
            }
        } else if let Step::Start(what) = step {
            if self.process(what) {
                self.start(what);
            }
        } else if let Step::Freeze(what) = step {
            if self.process(what) {
                self.freeze(what);
            }
        } else if let Step::Thaw(what) = step {
            if self.process(what) {
                self.thaw(what);
            }
        } else {
            return;
        }
        self.known.has_faults = true;
    }

    fn stop(&mut self, what: &Spanned<String>, how: EndHow) {
        // What only froze still runs.
        if how == EndHow::Freeze {
            return self.freeze(what);
        }
        if self.known.frozen.contains(&what.value) && how == EndHow::Term {
            // It goes on until it has ended as it was asked to.
            self.known.runs(&what.value);
        }
        self.known.frozen.remove(&what.value);
        if !self.known.stopped.insert(what.value.clone()) && !self.is_mended_beside(&what.value) {
            self.report(self.problem(what, format!("`{}` is stopped already", what.value)));
        }
        self.end_of_gateway(&what.value);
    }

    fn freeze(&mut self, what: &Spanned<String>) {
        self.known.has_frozen |= what.value.starts_with("gw");
        let may_run = self.is_mended_beside(&what.value);
        if self.known.stopped.contains(&what.value) && !may_run {
            let problem = self.problem(what, format!("`{}` is stopped by then", what.value));
            self.report(problem.with_help("only what runs can freeze"));
        }
        if !self.known.frozen.insert(what.value.clone()) && !may_run {
            self.report(self.problem(what, format!("`{}` is frozen already", what.value)));
        }
    }

    fn start(&mut self, what: &Spanned<String>) {
        if self.known.frozen.contains(&what.value) {
            let problem = self.problem(what, format!("`{}` runs already", what.value));
            return self.report(problem.with_help("it is frozen: write `thaw`"));
        }
        if !self.known.stopped.contains(&what.value) && !self.is_broken_beside(&what.value) {
            self.report(self.problem(what, format!("`{}` runs already", what.value)));
        }
        self.known.runs(&what.value);
    }

    fn thaw(&mut self, what: &Spanned<String>) {
        if !self.known.frozen.contains(&what.value) && !self.is_broken_beside(&what.value) {
            let problem = self.problem(what, format!("`{}` is not frozen by then", what.value));
            return self.report(problem.with_help("only what a `freeze` has stopped can go on"));
        }
        self.known.runs(&what.value);
    }

    fn crash(&mut self, crash: &Crash) {
        let place = Place::from(&crash.device);
        let devices = self.devices_named(&crash.device.value, place);
        let devices: Vec<_> = devices.into_iter().map(|device| (device, place)).collect();
        self.some_to_end(&devices);
        for (device, _) in devices {
            self.gone(&device);
        }
    }

    fn network(&mut self, network: &Network) {
        self.times([&network.delay]);
        if let Some(delay) = &network.delay
            && network.state != NetworkState::Slow
        {
            let text = "only a slow network has a `delay`";
            self.report(self.problem(delay, text).with_help("write `state: slow`"));
        }
        let devices = self.devices_named(&network.device.value, (&network.device).into());
        let works = !devices.iter().any(|device| self.known.changed.contains(device));
        for device in devices {
            match network.state {
                NetworkState::Cut => {
                    self.loses_its_connection(&device);
                    self.known.cut.insert(device.clone());
                    self.known.changed.insert(device);
                }
                NetworkState::Slow => {
                    self.known.cut.remove(&device);
                    self.known.changed.insert(device);
                }
                NetworkState::Resume => {
                    self.known.cut.remove(&device);
                    self.known.changed.remove(&device);
                    if works && self.used.is_none() && self.blocks == 0 && !self.is_again {
                        let text = format!("the network of `{device}` works by then");
                        let problem = self.problem(&network.device, text);
                        self.report(problem.with_help("only what was cut or slow can resume"));
                    }
                }
            }
        }
    }

    /// Its devices must connect again.
    fn end_of_gateway(&mut self, gateway: &str) {
        let here = self.known.connected.iter().filter(|it| self.gateway_of(it) == Some(gateway));
        for device in here.cloned().collect::<Vec<_>>() {
            self.loses_its_connection(&device);
        }
    }

    /// Its connection ends, and its program may not have noticed.
    pub(super) fn loses_its_connection(&mut self, device: &str) {
        self.gone(device);
        self.known.lost.insert(device.to_owned());
    }

    /// The gateway of this device.
    pub(super) fn gateway_of(&self, device: &str) -> Option<&str> {
        self.described(device).map(|device| device.gateway.as_str())
    }

    /// Nobody connects to what does not run.
    pub(super) fn must_run(&mut self, device: &str, place: Place) {
        let gateway = self.gateway_of(device).map(str::to_owned);
        let is_stopped =
            |it: &&String| self.known.stopped.contains(*it) && !self.is_mended_beside(it);
        if let Some(gateway) = gateway.as_ref().filter(is_stopped) {
            let text = format!("`{device}` connects to `{gateway}`, which is stopped by then");
            let help = format!("put `- start: {gateway}` before this step");
            self.report(self.problem(place, text).with_help(help));
        } else if let Some(gateway) = gateway.filter(|it| self.sleeps(it)) {
            let text = format!("`{device}` connects to `{gateway}`, which is frozen by then");
            let help = format!("put `- thaw: {gateway}` before this step");
            self.report(self.problem(place, text).with_help(help));
        }
    }

    /// Nobody connects over a network that is cut.
    pub(super) fn must_have_a_network(&mut self, device: &str, place: Place) {
        if self.known.cut.contains(device) && !self.is_mended_beside(device) {
            let problem = self.problem(place, format!("the network of `{device}` is cut by then"));
            let help = format!("put `- network: {{ device: {device}, state: resume }}` before");
            self.report(problem.with_help(help));
        }
    }

    /// Nobody looks into a server that is down.
    pub(super) fn must_be_up(&mut self, server: &str, place: Place) {
        if self.is_down(server) {
            let frozen = self.known.frozen.contains(server);
            let (state, verb) = if frozen { ("frozen", "thaw") } else { ("stopped", "start") };
            let problem = self.problem(place, format!("`{server}` is {state} by then"));
            self.report(problem.with_help(format!("put `- {verb}: {server}` before this step")));
        }
    }

    /// What is asked over HTTP is asked of any gateway that runs.
    pub(super) fn must_have_a_gateway(&mut self, place: Place) {
        let gateways = numbered("gw", self.scenario.stack.gateways.value);
        if gateways.iter().all(|gateway| self.is_down(gateway)) {
            let problem = self.problem(place, "no gateway runs by then");
            self.report(problem.with_help("put `- thaw: gw1` or `- start: gw1` before this step"));
        }
    }

    /// Whether it is frozen or stopped, and no block beside this one may mend it.
    pub(super) fn is_down(&self, what: &str) -> bool {
        self.sleeps(what) || self.known.stopped.contains(what) && !self.is_mended_beside(what)
    }

    /// What only froze cannot be started again.
    fn must_end(&mut self, how: EndHow, what: &Spanned<String>) {
        if how == EndHow::Freeze {
            let problem = self.problem(what, "what freezes has not ended, so nothing can start");
            self.report(problem.with_help("write `freeze`, and `thaw` later"));
        }
    }

    /// Whether there is such a process; a problem if not.
    fn process(&mut self, what: &Spanned<String>) -> bool {
        let stack = &self.scenario.stack;
        let mut known = numbered("gw", stack.gateways.value);
        if stack.backends != Backends::Embedded {
            known.extend(numbered("worker", stack.workers.value));
            known.extend(SERVERS.map(str::to_owned));
        } else if SERVERS.contains(&what.value.as_str()) {
            let text = format!("an embedded gateway has no `{}`", what.value);
            let problem = self.problem(what, text);
            self.report(problem.with_help("write `stack: { backends: real }`"));
            return false;
        }
        self.is_one_of("process", &what.value, &known, what.into())
    }
}

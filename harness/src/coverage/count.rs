//! What one scenario touches.

use serde::Serialize;
use serde_json::Value;

use crate::scenario::{AckWanted, Connect, Expect, Request, Scenario, Send, Spanned, Step};

/// Told of each thing that is touched: its section and its name.
type Touch<'t> = dyn FnMut(&'static str, String) + 't;

pub(super) fn scenario(scenario: &Scenario, touch: &mut Touch<'_>) {
    if let Some(spec) = &scenario.spec {
        touch("rules", spec.value.clone());
    }
    for name in &scenario.without {
        touch("invariants left out", name.value.clone());
    }
    for device in scenario.actors.values().flat_map(|devices| devices.value.values()) {
        touch("transports", written(&device.value.transport));
        touch("drivers", written(&device.value.client));
    }
    if scenario.stack.heartbeat.is_some() {
        touch("events", "heartbeat".to_owned());
    }
    steps(&scenario.steps, touch);
}

fn steps(all: &[Spanned<Step>], touch: &mut Touch<'_>) {
    for step in all {
        touch("steps", step.value.verb().to_owned());
        one(&step.value, touch);
    }
}

fn one(step: &Step, touch: &mut Touch<'_>) {
    let mut event = |name: &str| touch("events", name.to_owned());
    match step {
        Step::Connect(Connect { token, via, .. }) => {
            touch("tokens", written(token));
            touch("places of tokens", written(via));
        }
        Step::Disconnect(_) | Step::Publish(_) => {}
        Step::Join(join) | Step::Leave(join) => {
            event(if matches!(step, Step::Join(_)) { "joinRoom" } else { "leaveRoom" });
            ack(join.ack.as_ref(), &AckWanted::Success, touch);
        }
        Step::Send(send) => {
            let Send { ack: wanted, .. } = &**send;
            event("sendMessage");
            ack(wanted.as_ref(), &AckWanted::Accepted, touch);
        }
        Step::Heartbeat(_) => event("heartbeat"),
        Step::Deliver(_) | Step::Never(_) => event("newMessage"),
        Step::Raw(raw) => {
            if let Some(name) = event_of(&raw.frame.value) {
                event(name);
            }
        }
        Step::Request(request) => call(request, touch),
        Step::Wait(wait) => touch("waits", written(&wait.until.value)),
        Step::Expect(expect) => look(expect, touch),
        Step::Crash(crash) => {
            touch("faults", format!("crash: {}", written(&crash.how)));
            touch("fault targets", "device".to_owned());
        }
        Step::Network(network) => {
            touch("faults", format!("network: {}", written(&network.state)));
            touch("fault targets", "device".to_owned());
        }
        Step::Stop(end) | Step::Restart(end) | Step::RollingRestart(end) => {
            touch("faults", format!("{}: {}", step.verb(), written(&end.how)));
            touch("fault targets", target(&end.what.value));
        }
        Step::Start(what) | Step::Freeze(what) | Step::Thaw(what) => {
            touch("faults", step.verb().to_owned());
            touch("fault targets", target(&what.value));
        }
        Step::Parallel(parallel) => parallel.0.iter().for_each(|block| steps(block, touch)),
        Step::Repeat(repeat) => steps(&repeat.steps, touch),
        Step::Use(shared) => steps(&shared.steps, touch),
    }
}

/// As it is written in a scenario.
fn written(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        // No enum of the language is anything else.
        Ok(_) | Err(_) => String::new(),
    }
}

fn ack(wanted: Option<&Spanned<AckWanted>>, otherwise: &AckWanted, touch: &mut Touch<'_>) {
    let text = match wanted.map_or(otherwise, |ack| &ack.value) {
        AckWanted::Accepted => "ACCEPTED",
        AckWanted::Success => "success",
        AckWanted::Truncated => "truncated",
        AckWanted::None => "none",
        AckWanted::Any => "any",
        AckWanted::Error(text) => text,
    };
    touch("acks", text.to_owned());
}

/// `GET /rooms/${general}/messages?limit=5`: `GET /rooms/:id/messages`.
fn call(request: &Request, touch: &mut Touch<'_>) {
    let call = request.call.value.split('?').next().unwrap_or_default();
    let (verb, path) = call.split_once(' ').unwrap_or((call, ""));
    let mut parts: Vec<&str> = path.split('/').collect();
    if let Some(id) = parts.get_mut(2).filter(|id| !id.is_empty()) {
        *id = ":id";
    }
    touch("HTTP calls", format!("{verb} {}", parts.join("/")));
    if let Some(status) = &request.status {
        touch("HTTP statuses", status.value.to_string());
    }
    touch("tokens", written(&request.token));
}

fn look(expect: &Expect, touch: &mut Touch<'_>) {
    let Expect { presence, redis, history, stored, topic, .. } = expect;
    for (name, subject) in [
        ("presence", presence),
        ("redis", redis),
        ("history", history),
        ("stored", stored),
        ("topic", topic),
    ] {
        if subject.is_some() {
            touch("looked at", name.to_owned());
        }
    }
}

/// The event in a frame that is sent as it is.
fn event_of(frame: &str) -> Option<&str> {
    let name = frame.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("[\"")?;
    name.split('"').next()
}

/// `gw2`: `gateway`.
fn target(what: &str) -> String {
    let kinds = [("gw", "gateway"), ("gateway", "gateway"), ("worker", "worker")];
    let kind = kinds.iter().find(|(begin, _)| what.starts_with(begin));
    kind.map_or(what, |(_, kind)| kind).to_owned()
}

//! `expect: { redis: ... }`: which keys there are, and what each can have.

use super::{Linter, people::numbered};
use crate::{
    contract::{LEASE_KEY, PRESENCE_KEY, least_ttl},
    plural::counted,
    scenario::{Expect, Spanned},
};

/// The fields of an entry's value.
const ENTRY_FIELDS: [&str; 2] = ["connectedAt", "serverId"];

impl Linter<'_> {
    /// A key of the contract, and what it can have.
    pub(super) fn key(&mut self, key: &Spanned<String>, expect: &Expect) {
        if let Some(user) = key.value.strip_prefix(PRESENCE_KEY) {
            self.presence_key(key, user, expect);
        } else if let Some(server) = key.value.strip_prefix(LEASE_KEY) {
            let known = numbered("gw", self.scenario.stack.gateways.value);
            // That nobody but gateways has a lease is worth a look.
            let is_of_others = expect.exists == Some(false) && !server.starts_with("gw");
            if !server.contains("${") && !is_of_others {
                self.is_one_of("gateway", server, &known, key.into());
            }
            if expect.field.is_some() || expect.fields.is_some() {
                let problem = self.problem(key, "a lease is a text, and has no fields");
                self.report(problem.with_help("write `exists` or `ttl`"));
            }
        } else {
            let text = format!("no key of the contract begins like `{}`", key.value);
            let help = "write `presence:user:${alice}` or `presence:server:gw1`";
            self.report(self.problem(key, text).with_help(help));
        }
        // Beside a field it is the field that does not exist.
        let has_more = match expect.field {
            Some(_) => expect.value.is_some(),
            None => expect.fields.is_some_and(|fields| fields > 0) || expect.ttl.is_some(),
        };
        if expect.exists == Some(false) && has_more {
            let text = "what does not exist has no `value`, no `fields` and no `ttl`";
            self.report(self.problem(key, text));
        }
    }

    /// The key of a user: by the name of an actor, with no more fields than they have devices.
    fn presence_key(&mut self, key: &Spanned<String>, user: &str, expect: &Expect) {
        let times = self.scenario.stack.times();
        if let Some(ttl) = &expect.ttl
            && least_ttl(PRESENCE_KEY, ttl.value.resolve(times)) >= times.ttl
        {
            let text = format!("no entry is kept for longer than {} s", times.ttl.as_secs());
            self.report(self.problem(ttl, text).with_help("write `ttl: \"${ttl}\"`"));
        }
        let Some(name) = user.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
            let actors = self.scenario.actors.keys().map(String::as_str);
            let is_slip = actors.clone().any(|actor| actor == user);
            if expect.exists == Some(false) && !is_slip {
                return;
            }
            let text = format!("`{user}` is nobody's id");
            let meant = actors.clone().find(|actor| *actor == user).or(actors.clone().next());
            let help = format!("write `{PRESENCE_KEY}${{{}}}`", meant.unwrap_or("alice"));
            self.report(self.problem(key, text).with_help(help));
            return;
        };
        let name = name.split('|').next().unwrap_or_default().trim();
        let Some(devices) = self.scenario.actors.get(name).map(|it| it.value.len()) else {
            let is_open = name == "uuid" || self.known.captured.contains(name);
            // That nothing is kept by the id of a socket is worth a look.
            let is_of_others = expect.exists == Some(false)
                && name.ends_with(".socket")
                && self.stands_for_something(name, false);
            if !is_open && !is_of_others {
                let problem = self
                    .problem(key, format!("`{name}` is no actor: nobody's presence is kept there"));
                let actors = self.scenario.actors.keys().map(String::as_str);
                self.report(problem.with_known(name, actors));
            }
            return;
        };
        // A socket that broke may be there beside the one that came after it.
        let is_sure = !self.known.has_faults;
        if let Some(fields) = expect.fields.filter(|fields| *fields > devices && is_sure) {
            let text = format!("`{name}` has {}, not {fields}", counted(devices, "device"));
            self.report(self.problem(key, text));
        }
        if let Some(field) = expect.field.as_ref().filter(|_| expect.exists != Some(false)) {
            let of_actor = |field: &str| {
                let (actor, _) = field.strip_prefix("${")?.split_once('.')?;
                self.scenario.actors.contains_key(actor).then(|| actor.to_owned())
            };
            if let Some(other) = of_actor(&field.value).filter(|actor| actor != name) {
                let text = format!("a socket of `{other}` is no field of `{name}`");
                self.report(self.problem(field, text));
            }
        }
        let wrong = expect.value.as_ref().and_then(|value| {
            let fields = value.value.as_object()?;
            let unknown = fields.keys().find(|field| !ENTRY_FIELDS.contains(&field.as_str()))?;
            Some((value, unknown.clone()))
        });
        if let Some((value, unknown)) = wrong {
            let problem = self.problem(value, format!("an entry has no `{unknown}`"));
            self.report(problem.with_known(&unknown, ENTRY_FIELDS));
        }
    }
}

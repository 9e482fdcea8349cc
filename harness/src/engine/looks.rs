//! One look at presence, through the API and literally in Redis.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{observe, records, steps::Running};
use crate::{
    contract::{LEASE_KEY, PRESENCE_KEY, least_ttl},
    history::{Connection, gateway_of, shown},
    plural::counted,
    scenario::Expect,
};

/// What was seen, and whether it is what was wanted.
pub(super) struct Look {
    pub(super) is_true: bool,
    pub(super) seen: String,
}

/// The same with `gw1` for a `serverId` of ours, which is that and a random end.
pub(super) fn by_gateway(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let gateway = value.as_str().filter(|_| name == "serverId").and_then(gateway_of);
                (name.clone(), gateway.map_or_else(|| by_gateway(value), Value::from))
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(by_gateway).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

impl Running<'_> {
    pub(super) async fn look_at_presence(
        &self,
        actor: &str,
        expect: &Expect,
    ) -> Result<Look, String> {
        let user = self.world.user(actor)?;
        let seen = observe::presence(self.world, user).await?;
        let sockets = seen["sockets"].as_array().map_or(0, Vec::len);
        let is_online = seen["online"] == Value::Bool(true);
        let is_true = expect.online.is_none_or(|online| online == is_online)
            && expect.sockets.is_none_or(|count| count == sockets);
        let seen = if is_online {
            format!("{actor} is online on {}", counted(sockets, "socket"))
        } else {
            format!("{actor} is offline")
        };
        Ok(Look { is_true, seen })
    }

    pub(super) async fn look_at_redis(&self, key: &str, expect: &Expect) -> Result<Look, String> {
        let key = self.world.fill(key)?;
        // A gateway of ours calls itself `gw1` and a random end.
        let server =
            key.strip_prefix(LEASE_KEY).and_then(|name| self.world.site.server_ids.get(name));
        let key = server.map_or(key, |id| format!("{LEASE_KEY}{id}"));
        let seen = observe::redis_key(self.world, &key).await?;
        let at_most = expect.ttl.as_ref().map(|ttl| self.world.length(ttl));
        // With a field it is the field that exists or not.
        let is_there = expect.exists.is_none_or(|exists| exists == seen.exists);
        let is_true = (is_there || expect.field.is_some())
            && expect.fields.is_none_or(|count| count == seen.fields.len())
            && self.has_field(&seen.fields, expect)?
            && at_most.is_none_or(|at_most| {
                seen.ttl.is_some_and(|ttl| ttl <= at_most && ttl > least_ttl(&key, at_most))
            });
        if let Some(user) = key.strip_prefix(PRESENCE_KEY) {
            let sockets = self.sockets_of(user, |_| true);
            records::entries(&seen.fields, &sockets)
                .map_err(|reason| format!("it has {reason}"))?;
            // Of what is gone an entry may outlive its lease, and what is frozen cannot renew it.
            let broken = self.world.all_broken();
            let alive =
                self.sockets_of(user, |it| it.is_connected() && !broken.contains(&it.gateway));
            let fields = seen.fields.iter().filter(|(socket, _)| alive.contains(socket));
            observe::leases(self.world, fields).await?;
        }
        let fields: Vec<String> =
            seen.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let ttl = seen.ttl.map_or("no TTL".to_owned(), |ttl| format!("a TTL of {}", shown(ttl)));
        let seen = if seen.exists {
            let fields = if expect.field.is_some() {
                format!("{{ {} }}", fields.join(", "))
            } else {
                counted(fields.len(), "field")
            };
            format!("it exists with {fields} and {ttl}")
        } else {
            "it does not exist".to_owned()
        };
        Ok(Look { is_true, seen })
    }

    /// The sockets that a user has had.
    fn sockets_of(&self, user: &str, which: impl Fn(&Connection) -> bool) -> BTreeSet<String> {
        self.world.recorder.look(|story| {
            let theirs = story.connections.values();
            let theirs = theirs.filter(|it| it.user.eq_ignore_ascii_case(user) && which(it));
            theirs.filter_map(|it| it.socket.clone()).collect()
        })
    }

    /// Whether a hash has the field that is wanted, and in it what is wanted of its value; or has not what must not be there.
    fn has_field(&self, fields: &[(String, String)], expect: &Expect) -> Result<bool, String> {
        let Some(wanted) = &expect.field else { return Ok(true) };
        let name = self.world.fill(&wanted.value)?;
        let is_wanted = expect.exists != Some(false);
        let Some((_, value)) = fields.iter().find(|(known, _)| *known == name) else {
            return Ok(!is_wanted);
        };
        if !is_wanted {
            return Ok(false);
        }
        let Some(wanted) = &expect.value else { return Ok(true) };
        let wanted = self.world.fill_json(&wanted.value, "")?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.clone()));
        Ok(contains(&value, &wanted) || contains(&by_gateway(&value), &wanted))
    }
}

/// Whether everything that is wanted is there: fields of an object, items of a list in their order.
pub(super) fn contains(seen: &Value, wanted: &Value) -> bool {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| seen.get(name).is_some_and(|seen| contains(seen, wanted))),
        (Value::Array(seen), Value::Array(wanted)) => {
            seen.len() == wanted.len()
                && seen.iter().zip(wanted).all(|(seen, wanted)| contains(seen, wanted))
        }
        _ => seen == wanted,
    }
}

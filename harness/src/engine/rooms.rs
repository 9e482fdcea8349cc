//! The rooms that a scenario speaks of, made before its first step.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use uuid::Uuid;

use super::{EngineError, world::World};
use crate::scenario::{Scenario, Spanned, Step};

impl World {
    /// Makes the rooms that the scenario speaks of, with their members.
    pub(super) async fn make_rooms(&self, scenario: &Scenario) -> Result<(), EngineError> {
        let mut rooms: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let everybody: Vec<&str> = self.actors().map(|(name, _)| name).collect();
        let mut named = BTreeSet::new();
        let mut captured = BTreeSet::new();
        names_of_rooms(&scenario.steps, &mut named, &mut captured);
        for room in named.difference(&captured) {
            rooms.insert(room, everybody.clone());
        }
        for (room, members) in &scenario.rooms {
            let members = members.value.iter().map(|member| member.value.as_str()).collect();
            rooms.insert(room, members);
        }
        let making = rooms.into_iter().map(|(room, members)| self.make_room(room, members));
        futures_util::future::try_join_all(making).await?;
        Ok(())
    }

    async fn make_room(&self, room: &str, members: Vec<&str>) -> Result<(), EngineError> {
        // A room without members has been left by who made it.
        let nobody = Uuid::new_v4().to_string();
        let founder = members.first().and_then(|name| self.user(name).ok()).unwrap_or(&nobody);
        let made = self.call(founder, "POST", "/rooms", Some(&json!({"name": room})), None).await;
        let (status, reply) = made.map_err(EngineError::Setup)?;
        let id = reply["id"].as_str().map(str::to_lowercase);
        let id = id.ok_or_else(|| {
            EngineError::Setup(format!("making the room `{room}` was answered {status} {reply}"))
        })?;
        self.recorder.call(&id, room);
        for member in members.iter().skip(1).filter_map(|name| self.user(name).ok()) {
            let path = format!("/rooms/{id}/join");
            let joined = self.call(member, "POST", &path, None, None).await;
            let (status, reply) = joined.map_err(EngineError::Setup)?;
            // Which status it is exactly is for scenarios to judge.
            if !(200..300).contains(&status) {
                let text = format!("joining the room `{room}` was answered {status} {reply}");
                return Err(EngineError::Setup(text));
            }
        }
        if members.is_empty() {
            let path = format!("/rooms/{id}/leave");
            self.call(founder, "POST", &path, None, None).await.map_err(EngineError::Setup)?;
        }
        self.name_room(room, id);
        Ok(())
    }
}

/// The rooms that steps speak of, and those that they make themselves.
fn names_of_rooms<'s>(
    steps: &'s [Spanned<Step>],
    named: &mut BTreeSet<&'s str>,
    captured: &mut BTreeSet<&'s str>,
) {
    for step in steps {
        named.extend(step.value.room());
        if let Step::Request(request) = &step.value {
            captured.extend(request.capture.keys().map(String::as_str));
            captured.extend(request.name.iter().map(|name| name.value.as_str()));
        }
        for block in step.value.blocks() {
            names_of_rooms(block, named, captured);
        }
    }
}

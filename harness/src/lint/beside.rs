//! The blocks of a `parallel`: what one does may come before or after whatever another one does.

use std::collections::BTreeSet;

use super::{Linter, known::Known};
use crate::scenario::{NetworkState, Parallel, Spanned, Step, Stop, Who};

/// What steps do that the blocks beside them may notice: processes, groups of them, devices and actors, as they are written.
#[derive(Default)]
pub(super) struct Deeds {
    /// Started, thawed, or given their network back.
    mended: BTreeSet<String>,
    /// Ended, frozen, or cut off.
    broken: BTreeSet<String>,
    /// Their connections were ended by themselves.
    ended: BTreeSet<String>,
    connected: BTreeSet<String>,
    /// Let into a room, or out of one.
    moved: BTreeSet<String>,
    /// Who was let into which room.
    joined: Vec<(BTreeSet<String>, String)>,
}

impl Deeds {
    fn of<'s>(steps: impl IntoIterator<Item = &'s Spanned<Step>>) -> Self {
        let mut deeds = Self::default();
        for step in steps {
            deeds.note(&step.value);
        }
        deeds
    }

    fn note(&mut self, step: &Step) {
        if let Step::Start(what) | Step::Thaw(what) = step {
            self.mended.insert(what.value.clone());
        } else if let Step::Stop(Stop { what, .. }) | Step::Freeze(what) = step {
            self.broken.insert(what.value.clone());
        } else if let Step::Restart(stop) | Step::RollingRestart(stop) = step {
            self.mended.insert(stop.what.value.clone());
            self.broken.insert(stop.what.value.clone());
        } else if let Step::Network(network) = step {
            let is_cut = network.state == NetworkState::Cut;
            let kind = if is_cut { &mut self.broken } else { &mut self.mended };
            kind.insert(network.device.value.clone());
        } else if let Step::Crash(crash) = step {
            self.broken.insert(crash.device.value.clone());
        } else if let Step::Disconnect(who) = step {
            self.ended.extend(names(who));
        } else if let Step::Connect(connect) = step {
            self.connected.extend(names(&connect.who));
        } else if let Step::Join(join) | Step::Leave(join) = step {
            self.moved.extend(names(&join.who));
            if let (Step::Join(_), Some(room)) = (step, &join.room) {
                self.joined.push((names(&join.who).into_iter().collect(), room.value.clone()));
            }
        } else if let Step::Raw(raw) = step {
            // Anything may be in it.
            self.moved.insert(raw.device.value.clone());
        }
        for step in step.blocks().into_iter().flatten() {
            self.note(&step.value);
        }
    }
}

fn names(who: &Spanned<Who>) -> Vec<String> {
    match &who.value {
        Who::One(name) => vec![name.clone()],
        Who::Many(names) => names.iter().map(|name| name.value.clone()).collect(),
    }
}

/// Whether these name it, or anything that it belongs to.
fn any_names(names: &BTreeSet<String>, what: &str) -> bool {
    let (actor, _) = what.split_once('.').unwrap_or((what, ""));
    let is_one_of = |prefix: &str| {
        let number = what.strip_prefix(prefix);
        number.is_some_and(|number| number.parse::<usize>().is_ok())
    };
    let group = match what {
        _ if is_one_of("gw") => "gateways",
        _ if is_one_of("worker") => "workers",
        _ => what,
    };
    [what, actor, group, Who::EVERYONE].iter().any(|it| names.contains(*it))
}

impl Linter<'_> {
    /// Whether a block beside this one mends it.
    pub(super) fn is_mended_beside(&self, what: &str) -> bool {
        self.beside.iter().any(|deeds| any_names(&deeds.mended, what))
    }

    /// Whether a block beside this one ends it by force, or what it is connected to.
    pub(super) fn is_broken_beside(&self, what: &str) -> bool {
        let gateway = self.gateway_of(what);
        let names = [Some(what), gateway];
        let is_named =
            |deeds: &Deeds| names.iter().flatten().any(|it| any_names(&deeds.broken, it));
        self.beside.iter().any(is_named)
    }

    /// Whether a block beside this one disconnects this device.
    pub(super) fn is_ended_beside(&self, device: &str) -> bool {
        self.beside.iter().any(|deeds| any_names(&deeds.ended, device))
    }

    /// Whether a block beside this one breaks anything.
    pub(super) fn has_faults_beside(&self) -> bool {
        self.beside.iter().any(|deeds| !deeds.broken.is_empty())
    }

    /// Whether a block beside this one connects this device.
    pub(super) fn is_connected_beside(&self, device: &str) -> bool {
        self.beside.iter().any(|deeds| any_names(&deeds.connected, device))
    }

    /// Whether a block beside this one lets this device into a room, or out of it.
    pub(super) fn is_moved_beside(&self, device: &str) -> bool {
        self.beside.iter().any(|deeds| any_names(&deeds.moved, device))
    }

    pub(super) fn parallel(&mut self, step: &Spanned<Step>, parallel: &Parallel) {
        if parallel.0.len() < 2 {
            self.report(self.problem(step, "`parallel` needs two blocks or more"));
        }
        self.blocks += 1;
        let before = self.known.clone();
        let mut blocks: Vec<Known> = Vec::new();
        let others = |index: usize| {
            let others = parallel.0.iter().enumerate().filter(move |(n, _)| *n != index);
            Deeds::of(others.flat_map(|(_, other)| other))
        };
        for (index, block) in parallel.0.iter().enumerate() {
            self.beside.push(others(index));
            // A block begins with what was so before all of them.
            self.known = before.clone();
            for step in block {
                self.step(step);
            }
            let is_twice = |name: &&String| {
                !before.messages.contains_key(*name)
                    && blocks.iter().any(|other| other.messages.contains_key(*name))
            };
            let twice: Vec<String> = self.known.messages.keys().filter(is_twice).cloned().collect();
            for name in twice {
                let text = format!("two blocks name a message `{name}`: which one is meant later?");
                self.report(self.problem(step, text).with_help("give them two names"));
            }
            blocks.push(self.known.clone());
            self.beside.pop();
        }
        self.known = before.after(&blocks);
        for (block, after) in parallel.0.iter().zip(&blocks) {
            self.settle(&Deeds::of(block), &before, after);
        }
        // What one block has broken another one may have mended since.
        let others: Vec<Deeds> = (0..blocks.len()).map(others).collect();
        let stays = |it: &String, set: fn(&Known) -> &BTreeSet<String>| {
            let ends = blocks.iter().zip(&others);
            let is_left = |(after, others): (&Known, &Deeds)| {
                set(after).contains(it) && !any_names(&others.mended, it)
            };
            set(&before).contains(it) || ends.into_iter().any(is_left)
        };
        let Known { cut, stopped, frozen, .. } = &mut self.known;
        cut.retain(|it| stays(it, |known| &known.cut));
        stopped.retain(|it| stays(it, |known| &known.stopped));
        frozen.retain(|it| stays(it, |known| &known.frozen));
        self.blocks -= 1;
    }

    /// Who has come back in a block is there, also when another block has ended the connection before; who has come into a room in
    /// one may have heard what was sent in the others.
    fn settle(&mut self, deeds: &Deeds, before: &Known, after: &Known) {
        let Known { connected, lost, dismissed, joined, messages, .. } = &mut self.known;
        for device in after.connected.iter().filter(|it| any_names(&deeds.connected, it)) {
            connected.insert(device.clone());
            lost.remove(device);
            dismissed.remove(device);
        }
        let has_moved = |device: &str| any_names(&deeds.moved, device);
        let came: Vec<_> = after.entered.iter().filter(|(device, _)| has_moved(device)).collect();
        let has_joined = |(device, room): &&(String, String)| {
            let joins = deeds.joined.iter().filter(|(_, joined)| joined == room);
            joins.into_iter().any(|(who, _)| any_names(who, device))
        };
        joined.extend(after.joined.iter().filter(has_joined).cloned());
        let is_new = |name: &String| !before.messages.contains_key(name);
        for (_, message) in messages.iter_mut().filter(|(name, _)| is_new(name)) {
            let came = came.iter().filter(|(_, room)| Some(room) == message.room.as_ref());
            message.later.extend(came.map(|(device, _)| device.clone()));
        }
    }
}

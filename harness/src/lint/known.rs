//! What is true after the steps so far, as far as the file says.

use std::collections::{BTreeMap, BTreeSet};

use super::hearing::Named;

/// Devices and processes by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) connected: BTreeSet<String>,
    pub(super) ever_connected: BTreeSet<String>,
    /// Their connections were ended, and they have not said goodbye since.
    pub(super) lost: BTreeSet<String>,
    /// They have left the namespace, and their transports are open.
    pub(super) dismissed: BTreeSet<String>,
    /// What they have done cannot be read here, so that they may be in any room or in none, connected or not.
    pub(super) unsure: BTreeSet<String>,
    /// They have asked for an ack since they connected.
    pub(super) asked: BTreeSet<String>,
    /// Device and room.
    pub(super) joined: BTreeSet<(String, String)>,
    /// Device and room, also when it has left since.
    pub(super) entered: BTreeSet<(String, String)>,
    /// Devices that have asked for what they had missed: they may hear a message again.
    pub(super) resumed: BTreeSet<String>,
    /// Messages that have a name.
    pub(super) messages: BTreeMap<String, Named>,
    /// Their ids are those of other messages as well: in another room, or of somebody else.
    pub(super) shared: BTreeSet<String>,
    pub(super) captured: BTreeSet<String>,
    pub(super) stopped: BTreeSet<String>,
    pub(super) frozen: BTreeSet<String>,
    /// Devices whose network is cut, and those whose network is not as it was.
    pub(super) cut: BTreeSet<String>,
    pub(super) changed: BTreeSet<String>,
    /// A gateway was frozen on purpose: connections may have ended by themselves.
    pub(super) has_frozen: bool,
    /// Something was broken on purpose, and may be so still.
    pub(super) has_faults: bool,
}

impl Known {
    /// After blocks that ran side by side, each of which began with this.
    pub(super) fn after(&self, blocks: &[Self]) -> Self {
        let mut messages = self.messages.clone();
        for (name, message) in blocks.iter().flat_map(|block| &block.messages) {
            if self.messages.get(name) != Some(message) {
                messages.entry(name.clone()).or_insert_with(|| message.clone()).merge(message);
            }
        }
        Self {
            connected: merged(self, blocks, |known| &known.connected),
            ever_connected: merged(self, blocks, |known| &known.ever_connected),
            lost: merged(self, blocks, |known| &known.lost),
            dismissed: merged(self, blocks, |known| &known.dismissed),
            unsure: merged(self, blocks, |known| &known.unsure),
            asked: merged(self, blocks, |known| &known.asked),
            joined: merged(self, blocks, |known| &known.joined),
            entered: merged(self, blocks, |known| &known.entered),
            resumed: merged(self, blocks, |known| &known.resumed),
            messages,
            shared: merged(self, blocks, |known| &known.shared),
            captured: merged(self, blocks, |known| &known.captured),
            stopped: merged(self, blocks, |known| &known.stopped),
            frozen: merged(self, blocks, |known| &known.frozen),
            cut: merged(self, blocks, |known| &known.cut),
            changed: merged(self, blocks, |known| &known.changed),
            has_frozen: self.has_frozen || blocks.iter().any(|block| block.has_frozen),
            has_faults: self.has_faults || blocks.iter().any(|block| block.has_faults),
        }
    }
}

/// What no block has taken away, and what any of them has added.
fn merged<T: Clone + Ord>(
    before: &Known,
    blocks: &[Known],
    set: impl Fn(&Known) -> &BTreeSet<T>,
) -> BTreeSet<T> {
    let stays = |it: &&T| blocks.iter().all(|block| set(block).contains(*it));
    let kept = set(before).iter().filter(stays);
    let added = blocks.iter().flat_map(|block| set(block).difference(set(before)));
    kept.chain(added).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_side_by_side_add_and_take_away() {
        let set = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let known = |connected: &[&str]| Known { connected: set(connected), ..Known::default() };
        let before = known(&["alice", "bob"]);
        let after = before.after(&[known(&["bob"]), known(&["alice", "bob", "carol"])]);
        assert_eq!(after.connected, set(&["bob", "carol"]));
    }
}

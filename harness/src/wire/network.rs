//! What the network of a device does, as each of its connections knows it.

use std::time::Duration;

use tokio::sync::watch;

/// What a network does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkChange {
    /// Everything goes through at once.
    #[default]
    Open,
    /// Everything comes so much later, in its order.
    Slow(Duration),
    /// Nothing is read any more, from either side; connections stay.
    Frozen,
    /// Everything is read, nothing handed on; connections stay.
    Blackhole,
    /// Connections are reset, and new ones too.
    Cut,
    /// Connections are closed politely, without a packet, and new ones too.
    Finished,
}

impl NetworkChange {
    /// Whether it ends connections.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Self::Cut | Self::Finished)
    }
}

/// What a network does now, and which connections it has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub(super) now: NetworkChange,
    /// How often it has ended every connection: one that began before the newest end is over, whatever the network does since.
    ends: u64,
    /// The newest end was a reset.
    is_reset: bool,
}

impl State {
    pub(super) fn change(&mut self, change: NetworkChange) {
        if change.is_end() {
            self.ends += 1;
            self.is_reset = change == NetworkChange::Cut;
        }
        self.now = change;
    }
}

/// A network as one of its connections knows it.
#[derive(Clone, Debug)]
pub(super) struct Network {
    state: watch::Receiver<State>,
    /// How often it had ended every connection before this one began.
    ends: u64,
}

impl Network {
    pub(super) fn of(state: &watch::Sender<State>) -> Self {
        let state = state.subscribe();
        let ends = state.borrow().ends;
        Self { state, ends }
    }

    /// What it does now; an end that was meant for this connection stays one.
    pub(super) fn now(&mut self) -> NetworkChange {
        let state = *self.state.borrow_and_update();
        self.here(state)
    }

    /// The same for what was just read: a change is still to be noted.
    pub(super) fn at_once(&self) -> NetworkChange {
        self.here(*self.state.borrow())
    }

    fn here(&self, State { now, ends, is_reset }: State) -> NetworkChange {
        match (ends > self.ends, is_reset) {
            (false, _) => now,
            (true, true) => NetworkChange::Cut,
            (true, false) => NetworkChange::Finished,
        }
    }

    /// Waits until it changes; `false`: the link is gone.
    pub(super) async fn changed(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }

    /// Waits until it ends this connection.
    pub(super) async fn ended(&mut self) {
        let ends = self.ends;
        // The link is gone: that is an end as well.
        drop(self.state.wait_for(|state| state.ends > ends).await);
    }
}

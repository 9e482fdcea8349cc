//! Cheap-to-clone handles that handlers share. No logic.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    authenticate::Authenticator,
    authorise::Authoriser,
    presence::{Presence, Registrar},
    publish::Publishing,
    shutdown::Shutdown,
    store::Store,
};

/// What one gateway shares between all its sockets and requests.
#[derive(Clone, Debug)]
pub struct AppState {
    pub store: Arc<dyn Store>,
    pub presence: Arc<dyn Presence>,
    pub registrar: Registrar,
    pub authenticator: Arc<Authenticator>,
    pub authoriser: Authoriser,
    pub publishing: Publishing,
    pub readiness: Readiness,
    pub shutdown: Shutdown,
    /// How long after its arrival a message may be handed to the broker at the latest.
    pub publish_by: Duration,
}

/// Whether this process is positioned in the log, and so may serve.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub fn set_positioned(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_positioned(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

//! Deployments that are up, by their shape: a scenario that breaks nothing shares one, any other has one for itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::Mutex;

use super::{Options, Target};
use crate::{
    deploy::{DeployError, Deployment, Shape},
    stack::free_ports,
};

/// How often it is tried to start a deployment.
const STARTS_MAX: usize = 3;

/// Deployments of one invocation.
#[derive(Debug)]
pub(super) struct Pool<'o> {
    options: &'o Options,
    /// Those that many use; the lock of each is held while it starts.
    shared: Mutex<BTreeMap<Shape, Place>>,
    /// Whole ones that nobody uses just now.
    idle: Mutex<BTreeMap<Shape, Vec<Arc<Deployment>>>>,
    ports: Mutex<Ports>,
}

/// Where a deployment is once it is up.
type Place = Arc<Mutex<Option<Arc<Deployment>>>>;

#[derive(Debug, Default)]
struct Ports {
    taken: BTreeSet<u16>,
    deployments: usize,
}

impl<'o> Pool<'o> {
    pub(super) fn new(options: &'o Options) -> Self {
        let (shared, idle, ports) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { options, shared, idle, ports }
    }

    /// A deployment of this shape that is up.
    pub(super) async fn take(
        &self,
        shape: &Shape,
        is_shared: bool,
    ) -> Result<Arc<Deployment>, DeployError> {
        if is_shared {
            let place = Arc::clone(self.shared.lock().await.entry(shape.clone()).or_default());
            let mut place = place.lock().await;
            if let Some(deployment) = place.take() {
                if deployment.is_whole().await {
                    return Ok(Arc::clone(place.insert(deployment)));
                }
                // Who uses it still says so, and the last one ends it.
                if Arc::strong_count(&deployment) == 1 {
                    deployment.stop().await;
                }
            }
            let deployment = self.start(shape).await?;
            return Ok(Arc::clone(place.insert(deployment)));
        }
        loop {
            let idle = self.idle.lock().await.get_mut(shape).and_then(Vec::pop);
            match idle {
                // Others may have broken servers meanwhile.
                Some(deployment) if !deployment.is_whole().await => deployment.stop().await,
                Some(deployment) => return Ok(deployment),
                None => return self.start(shape).await,
            }
        }
    }

    /// The scenario is over. A deployment that it had for itself is kept for the next one if it is as good as new.
    pub(super) async fn give_back(
        &self,
        deployment: Arc<Deployment>,
        is_shared: bool,
        is_good: bool,
    ) {
        if is_shared {
            if Arc::strong_count(&deployment) == 1 {
                deployment.stop().await;
            }
            return;
        }
        if is_good && deployment.is_whole().await {
            let mut idle = self.idle.lock().await;
            idle.entry(deployment.shape.clone()).or_default().push(deployment);
        } else {
            deployment.stop().await;
        }
    }

    /// Ends all that are up. Nobody uses one just now.
    pub(super) async fn clear(&self) {
        let mut all = Vec::new();
        for place in std::mem::take(&mut *self.shared.lock().await).into_values() {
            all.extend(place.lock().await.take());
        }
        all.extend(std::mem::take(&mut *self.idle.lock().await).into_values().flatten());
        futures_util::future::join_all(all.iter().map(|deployment| deployment.stop())).await;
    }

    /// Somebody else on this machine may be quicker to listen on a port that was free: then others are chosen.
    async fn start(&self, shape: &Shape) -> Result<Arc<Deployment>, DeployError> {
        for _ in 1..STARTS_MAX {
            match self.start_once(shape).await {
                Err(error) if error.is_of_a_port() => {}
                started => return started,
            }
        }
        self.start_once(shape).await
    }

    async fn start_once(&self, shape: &Shape) -> Result<Arc<Deployment>, DeployError> {
        let (ports, directory) = {
            let mut known = self.ports.lock().await;
            let ports = free_ports(2 * shape.gateways + shape.workers, &known.taken)?;
            known.taken.extend(ports.iter().copied());
            known.deployments += 1;
            (ports, self.options.directory.join(format!("deployment-{}", known.deployments)))
        };
        let servers = match &self.options.target {
            Target::Real(servers) => Some(servers),
            Target::Embedded | Target::Running { .. } => None,
        };
        let program = &self.options.program;
        let started = Deployment::start(shape.clone(), servers, program, directory, &ports).await?;
        Ok(Arc::new(started))
    }
}

//! One device: its network, its program, and what it does by itself.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    client::{Client, ClientError, Options},
    history::{ConnectionId, Recorder, Story},
    scenario,
    wire::{Link, NetworkChange},
};

/// How long a driver that keeps one ack in flight waits for it.
const ACK_LIMIT: Duration = Duration::from_secs(12);

/// How long a goodbye may be on its way.
const GOODBYE_LIMIT: Duration = Duration::from_millis(500);

/// A device of the scenario.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) user: String,
    pub(super) gateway: String,
    kind: scenario::Client,
    transport: scenario::Transport,
    pongs: bool,
    target: SocketAddr,
    link: Option<Link>,
    /// What its network does once it is there.
    network: Option<NetworkChange>,
    /// Links of crashed connections: they stay as the crash left them.
    old_links: Vec<Link>,
    client: Option<Client>,
    heartbeat: Option<JoinHandle<()>>,
    /// Held by who sends, so that events leave in their order.
    turn: Arc<Mutex<()>>,
}

impl Device {
    pub(super) fn new(
        name: &str,
        user: &str,
        described: &scenario::Device,
        target: SocketAddr,
    ) -> Self {
        Self {
            name: name.to_owned(),
            user: user.to_owned(),
            gateway: described.gateway.clone(),
            kind: described.client,
            transport: described.transport,
            pongs: described.pongs,
            target,
            link: None,
            network: None,
            old_links: Vec::new(),
            client: None,
            heartbeat: None,
            turn: Arc::default(),
        }
    }

    /// Whether it begins by polling and goes over to a WebSocket.
    pub(super) fn upgrades(&self) -> bool {
        self.transport == scenario::Transport::Upgrade
    }

    /// Whether its connection ends only when the gateway ends it: a client library closes it by itself after a goodbye.
    pub(super) fn never_hangs_up(&self) -> bool {
        self.kind == scenario::Client::Raw
    }

    /// Whether its program is gone and its connections are as a crash has left them.
    pub(super) fn has_crashed(&self) -> bool {
        self.link.is_none() && !self.old_links.is_empty()
    }

    /// Whether anything listens where its gateway should.
    pub(super) async fn is_gateway_there(&self) -> bool {
        tokio::net::TcpStream::connect(self.target).await.is_ok()
    }

    /// Starts its program, which asks to connect.
    pub(super) async fn connect(
        &mut self,
        recorder: &Arc<Recorder>,
        auth: Option<Value>,
        authorization: Option<String>,
    ) -> Result<(), ClientError> {
        self.end_program();
        let link = if let Some(link) = self.link.take() {
            link
        } else {
            let who = [self.name.as_str(), &self.user, &self.gateway];
            let opened = Link::open(recorder, who, self.target).await;
            opened.map_err(|error| ClientError::Refused(error.to_string()))?
        };
        if let Some(change) = self.network.take() {
            link.change(change);
        }
        let address = self.link.insert(link).address();
        let (transport, pongs) = (self.transport, self.pongs);
        let options = Options { address, transport, pongs, auth, authorization };
        self.client = Some(Client::connect(self.kind, &options).await?);
        Ok(())
    }

    /// Sends an event; when its turn came, after what the device was about to send before. Where the driver cannot tell acks
    /// apart, returns after the ack; the device is free meanwhile.
    pub(super) async fn emit(
        device: &Mutex<Self>,
        recorder: &Recorder,
        event: &str,
        payload: &Value,
        wants_ack: bool,
    ) -> Result<Duration, ClientError> {
        let turn = Arc::clone(&device.lock().await.turn);
        let turn = turn.lock().await;
        let mut device = device.lock().await;
        let began = recorder.now();
        let name = device.name.clone();
        let client = device.client.as_mut().ok_or(ClientError::Gone)?;
        let (before, connection) =
            recorder.look(|story| (story.sent.len(), story.connection_of(&name).map(|(id, _)| id)));
        client.emit(event, payload, wants_ack).await?;
        if wants_ack && !client.keeps_acks_apart() {
            drop(device);
            let connection = connection.ok_or(ClientError::Gone)?;
            wait_for_ack(recorder, connection, before, event).await;
        }
        drop(turn);
        Ok(began)
    }

    /// How late its network brings everything.
    pub(super) fn delay(&self) -> Duration {
        match self.link.as_ref().map(Link::state) {
            Some(NetworkChange::Slow(delay)) => delay,
            _ => Duration::ZERO,
        }
    }

    pub(super) async fn frame(&mut self, packet: &str) -> Result<(), ClientError> {
        self.client.as_mut().ok_or(ClientError::Gone)?.frame(packet).await
    }

    /// Says goodbye and ends its program; returns once the goodbye is out.
    pub(super) async fn disconnect(&mut self, recorder: &Recorder) {
        if let Some(heartbeat) = self.heartbeat.take() {
            heartbeat.abort();
        }
        if let Some(client) = self.client.take() {
            client.disconnect().await;
            // What a library has handed on may still be on its way, and a network that is broken lets nothing out.
            let is_out = |story: &Story| {
                let known = story.connection_of(&self.name).map(|(_, known)| known);
                known.is_none_or(|known| known.ended().is_some()).then_some(())
            };
            recorder.until(Instant::now() + GOODBYE_LIMIT, is_out).await;
        }
        if let Some(link) = &self.link {
            link.gone();
        }
    }

    /// Its network does this from now on, whether or not it has a connection yet.
    pub(super) fn network(&mut self, change: NetworkChange) {
        match &self.link {
            Some(link) => link.change(change),
            None => self.network = Some(change),
        }
    }

    /// Its program is gone without a word; its connections stay as `change` leaves them, for ever.
    pub(super) fn crash(&mut self, change: NetworkChange) {
        if let Some(link) = self.link.take() {
            link.change(change);
            link.gone();
            self.old_links.push(link);
        }
        self.end_program();
    }

    fn end_program(&mut self) {
        if let Some(heartbeat) = self.heartbeat.take() {
            heartbeat.abort();
        }
        self.client = None;
    }

    /// Sends `heartbeat` by itself from now on, until it is disconnected.
    pub(super) fn beat(
        device: &Arc<Mutex<Self>>,
        recorder: &Arc<Recorder>,
        every: Duration,
    ) -> JoinHandle<()> {
        let (device, recorder) = (Arc::downgrade(device), Arc::clone(recorder));
        // Ends with the device's connection, or with the device.
        tokio::spawn(async move {
            loop {
                sleep(every).await;
                let Some(device) = device.upgrade() else { return };
                let sent = Self::emit(&device, &recorder, "heartbeat", &json!({}), true).await;
                if sent.is_err() {
                    return;
                }
            }
        })
    }

    pub(super) fn keep_beating(&mut self, task: JoinHandle<()>) {
        if let Some(before) = self.heartbeat.replace(task) {
            before.abort();
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.end_program();
    }
}

async fn wait_for_ack(recorder: &Recorder, connection: ConnectionId, before: usize, event: &str) {
    let deadline = Instant::now() + ACK_LIMIT;
    let answered = |story: &Story| {
        let is_over = story.connections.get(&connection).is_none_or(|it| it.closed.is_some());
        let sent = story.sent[before..].iter().find(|sent| {
            sent.connection == connection && sent.event == event && sent.ack_id.is_some()
        });
        (is_over || sent.is_some_and(|sent| !sent.acks.is_empty())).then_some(())
    };
    // Without an ack in time the step that wanted it says so.
    recorder.until(deadline, answered).await;
}

//! Reads what one TCP connection of a device carries, in both directions, and writes its packets into the history.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    frames::{self, Frames},
    http::{Message, Messages},
};
use crate::history::{ConnectionId, Recorder, What};

/// Between the packets of a long-polling body.
const SEPARATOR: char = '\u{1e}';

/// Most packets that are kept of a device that talks before its session is open.
const EARLY_PACKETS_MAX: usize = 1_000;

/// Who is listened to.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) recorder: Arc<Recorder>,
    pub(super) device: String,
    pub(super) user: String,
    pub(super) gateway: String,
    /// Sessions of this device by their ids: one may use several TCP connections.
    pub(super) sessions: Arc<Mutex<HashMap<String, Session>>>,
}

/// An Engine.IO session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) connection: ConnectionId,
    /// It lives by its WebSocket: what becomes of earlier polls does not matter any more.
    is_upgraded: bool,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToGateway,
    ToDevice,
}

/// One TCP connection.
#[derive(Debug)]
pub(super) struct Tap {
    listener: Listener,
    requests: Messages,
    responses: Messages,
    /// What was asked and not answered yet.
    asked: VecDeque<Asked>,
    websocket: Option<WebSocket>,
}

#[derive(Debug)]
struct Asked {
    session: Option<String>,
    is_websocket: bool,
    is_poll: bool,
}

#[derive(Debug, Default)]
struct WebSocket {
    session: Option<ConnectionId>,
    /// What a hasty device said before the gateway had opened the session.
    early: Vec<String>,
    to_gateway: Frames,
    to_device: Frames,
}

impl Tap {
    pub(super) fn new(listener: Listener) -> Self {
        let (requests, responses) = (Messages::default(), Messages::default());
        Self { listener, requests, responses, asked: VecDeque::new(), websocket: None }
    }

    /// These bytes are about to be handed on.
    pub(super) fn hear(&mut self, direction: Direction, bytes: &[u8]) {
        if self.websocket.is_some() {
            self.frames(direction, bytes);
            return;
        }
        match direction {
            Direction::ToGateway => {
                self.requests.push(bytes);
                while let Some(request) = self.requests.next(true) {
                    self.request(&request);
                }
            }
            Direction::ToDevice => {
                self.responses.push(bytes);
                while let Some(response) = self.responses.next(false) {
                    self.response(&response);
                    if self.websocket.is_some() {
                        let (early, rest) = (self.requests.rest(), self.responses.rest());
                        self.frames(Direction::ToGateway, &early);
                        self.frames(Direction::ToDevice, &rest);
                        return;
                    }
                }
            }
        }
    }

    /// The connection is over, whoever ended it: a WebSocket's session with it, and a poll's too.
    pub(super) fn end(&mut self, by_gateway: bool) {
        match &self.websocket {
            Some(WebSocket { session: Some(session), .. }) => self.closed(*session, by_gateway),
            Some(WebSocket { session: None, .. }) => {}
            None => {
                for asked in std::mem::take(&mut self.asked) {
                    let session = asked.session.and_then(|id| self.session(&id));
                    if let Some(session) = session.filter(|session| !session.is_upgraded) {
                        self.closed(session.connection, by_gateway);
                    }
                }
            }
        }
    }

    /// The gateway has closed its end, and the device does not hear of it.
    pub(super) fn given_up(&self) {
        let Listener { recorder, device, gateway, .. } = &self.listener;
        recorder.push(What::GivenUp { device: device.clone(), gateway: gateway.clone() });
    }

    fn request(&mut self, request: &Message) {
        if !request.target.starts_with("/socket.io/") {
            let asked = Asked { session: None, is_websocket: false, is_poll: false };
            self.asked.push_back(asked);
            return;
        }
        let value = |name: &str| {
            let (_, query) = request.target.split_once('?')?;
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let session = value("sid").map(str::to_owned);
        if request.method == "POST"
            && let Some(session) = session.as_deref().and_then(|id| self.session(id))
        {
            self.packets(session.connection, Direction::ToGateway, &request.body);
        }
        let is_websocket = value("transport") == Some("websocket");
        let is_poll = request.method == "GET" && !is_websocket;
        self.asked.push_back(Asked { session, is_websocket, is_poll });
    }

    fn response(&mut self, response: &Message) {
        if response.status / 100 == 1 && response.status != 101 {
            return; // More is to come.
        }
        let Some(asked) = self.asked.pop_front() else { return };
        let session = asked.session.as_deref().and_then(|id| self.session(id));
        if asked.is_websocket && response.status == 101 {
            if let Some(id) = &asked.session {
                self.upgraded(id);
            }
            let session = session.map(|session| session.connection);
            self.websocket = Some(WebSocket { session, ..WebSocket::default() });
        } else if asked.is_poll && response.status == 200 {
            if let Some(session) = session {
                self.packets(session.connection, Direction::ToDevice, &response.body);
            } else {
                let body = String::from_utf8_lossy(&response.body).into_owned();
                if let Some(session) = self.opened(&body, true) {
                    self.packets(session, Direction::ToDevice, &response.body);
                }
            }
        } else if let Some(session) = session.filter(|session| !session.is_upgraded)
            && response.status >= 400
        {
            self.closed(session.connection, true);
        }
    }

    fn frames(&mut self, direction: Direction, bytes: &[u8]) {
        let Some(websocket) = &mut self.websocket else { return };
        let messages = match direction {
            Direction::ToGateway => websocket.to_gateway.take(bytes),
            Direction::ToDevice => websocket.to_device.take(bytes),
        };
        for message in messages {
            let session = self.websocket.as_ref().and_then(|it| it.session);
            match (message, session) {
                (frames::Message::Text(packet), Some(session)) => {
                    self.packet(session, direction, packet);
                }
                (frames::Message::Text(packet), None) => {
                    let opened = match direction {
                        Direction::ToGateway => None,
                        Direction::ToDevice => self.opened(&packet, false),
                    };
                    let Some(websocket) = &mut self.websocket else { return };
                    match (opened, direction) {
                        (Some(session), _) => {
                            websocket.session = Some(session);
                            let early = std::mem::take(&mut websocket.early);
                            self.packet(session, direction, packet);
                            for packet in early {
                                self.packet(session, Direction::ToGateway, packet);
                            }
                        }
                        (None, Direction::ToGateway)
                            if websocket.early.len() < EARLY_PACKETS_MAX =>
                        {
                            websocket.early.push(packet);
                        }
                        (None, _) => {}
                    }
                }
                (frames::Message::Close, Some(session)) => {
                    self.closed(session, direction == Direction::ToDevice);
                }
                (frames::Message::Close, None) => {}
            }
        }
    }

    fn packets(&self, session: ConnectionId, direction: Direction, body: &[u8]) {
        for packet in String::from_utf8_lossy(body).split(SEPARATOR) {
            self.packet(session, direction, packet.to_owned());
        }
    }

    fn packet(&self, connection: ConnectionId, direction: Direction, packet: String) {
        let recorder = &self.listener.recorder;
        let packet = without_token(packet);
        match direction {
            Direction::ToGateway => recorder.push(What::Sent { connection, packet }),
            Direction::ToDevice => {
                let is_close = packet == "1";
                let sessions = self.sessions();
                // A crashed device hears nothing more, whatever was on its way. Until that is told nobody can close it.
                if !sessions.values().any(|session| session.connection == connection) {
                    return;
                }
                recorder.push(What::Received { connection, packet });
                drop(sessions);
                if is_close {
                    self.closed(connection, true);
                }
            }
        }
    }

    /// The session that an open packet begins.
    fn opened(&self, packet: &str, is_polling: bool) -> Option<ConnectionId> {
        let open = packet.split(SEPARATOR).next()?.strip_prefix('0')?;
        // What has no good id is a session all the same, and is judged as what it says.
        let open: serde_json::Value = serde_json::from_str(open).unwrap_or_default();
        let Listener { recorder, device, user, gateway, sessions } = &self.listener;
        let connection = recorder.open([device, user, gateway], is_polling);
        let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = Session { connection, is_upgraded: false };
        let id = open["sid"].as_str().map_or_else(|| format!("{connection:?}"), str::to_owned);
        sessions.insert(id, session);
        Some(connection)
    }

    fn upgraded(&self, id: &str) {
        let mut sessions = self.sessions();
        if let Some(session) = sessions.get_mut(id) {
            session.is_upgraded = true;
        }
    }

    fn session(&self, id: &str) -> Option<Session> {
        self.sessions().get(id).copied()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.listener.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a session too, so that it is closed once.
    fn closed(&self, connection: ConnectionId, by_gateway: bool) {
        let mut sessions = self.sessions();
        let before = sessions.len();
        sessions.retain(|_, known| known.connection != connection);
        if sessions.len() < before {
            self.listener.recorder.push(What::Closed { connection, by_gateway });
        }
    }
}

/// A CONNECT without its token: histories are kept, sent around and shown, and a token may still be good.
fn without_token(packet: String) -> String {
    let Some(hello) = packet.strip_prefix("40") else { return packet };
    let Ok(mut hello) = serde_json::from_str::<serde_json::Value>(hello) else { return packet };
    match hello.get_mut("token") {
        // What is no token at all may be what a scenario is about.
        Some(token) if token.as_str().is_some_and(|it| it.split('.').count() == 3) => {
            *token = serde_json::Value::from("<token>");
            format!("40{hello}")
        }
        _ => packet,
    }
}

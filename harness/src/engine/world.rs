//! What a running scenario knows: who is who, which names stand for what, which devices there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use uuid::Uuid;

use super::{EngineError, device::Device};
use crate::{
    check::Ours,
    contract::FOREIGN_ORIGIN,
    deploy::Site,
    generate::Source,
    history::{Recorder, What},
    scenario::{Scenario, Spanned, Time, TimeNames, Who},
};

/// A message that was sent under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// In lower case, as all ids here.
    pub(super) room: String,
    pub(super) sender: String,
    pub(super) client_msg_id: String,
    /// What was sent, for who sends it again.
    pub(super) payload: Value,
}

/// The headers that the contract speaks of.
const HEADERS: [&str; 3] = ["content-type", "retry-after", "access-control-allow-origin"];

/// An answer over HTTP.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Those of [`HEADERS`] that it has.
    pub(super) headers: BTreeMap<String, String>,
    /// As JSON, else as a text; `null` if there is none.
    pub(super) body: Value,
}

/// Everything that a run shares between its steps.
#[derive(Debug)]
pub(super) struct World {
    pub(super) site: Site,
    pub(super) recorder: Arc<Recorder>,
    pub(super) times: TimeNames,
    /// What is known of our own gateways.
    pub(super) ours: Ours,
    pub(super) heartbeat: Option<Duration>,
    pub(super) devices: BTreeMap<String, Arc<tokio::sync::Mutex<Device>>>,
    pub(super) http: reqwest::Client,
    actors: BTreeMap<String, String>,
    /// Who reads a room at the end that nobody is in any more.
    reader: String,
    names: Mutex<Names>,
    source: Mutex<Source>,
}

#[derive(Debug, Default)]
struct Names {
    rooms: BTreeMap<String, String>,
    captured: BTreeMap<String, String>,
    messages: BTreeMap<String, Vec<Named>>,
    /// How often a name was given to messages.
    rounds: BTreeMap<String, usize>,
    /// Since when they do nothing.
    stopped: BTreeMap<String, Duration>,
    /// What is broken and must be mended before the judgement.
    broken: BTreeSet<String>,
    /// Topic, key and value of what the scenario has published itself.
    written: Vec<[String; 3]>,
    /// Processes that have ended by themselves.
    dead: BTreeSet<String>,
}

impl World {
    /// People with fresh ids, and their devices, not connected yet.
    pub(super) fn new(scenario: &Scenario, site: Site, seed: u64) -> Result<Self, EngineError> {
        let recorder = Arc::<Recorder>::default();
        let mut source = Source::new(seed);
        let (mut actors, mut devices) = (BTreeMap::new(), BTreeMap::new());
        for (actor, described) in &scenario.actors {
            // Not of the seed: two runs of one seed may share a database.
            let user = Uuid::new_v4().to_string();
            recorder.call(&user, actor);
            for (name, device) in &described.value {
                let number = device.value.gateway.trim_start_matches("gw").parse::<usize>().ok();
                let address = number.and_then(|n| site.gateways.get(n.checked_sub(1)?));
                let address =
                    *address.ok_or_else(|| EngineError::NoGateway(device.value.gateway.clone()))?;
                let name = format!("{actor}.{name}");
                let device = Device::new(&name, &user, &device.value, address);
                devices.insert(name, Arc::new(tokio::sync::Mutex::new(device)));
            }
            actors.insert(actor.clone(), user);
        }
        // The first draw tells whether a seed was used at all.
        source.uuid();
        Ok(Self {
            site,
            recorder,
            times: scenario.stack.times(),
            ours: Ours {
                pings: scenario.stack.pings(),
                origins_are_closed: !scenario.stack.settings.contains_key("CORS_ORIGINS"),
            },
            heartbeat: scenario.stack.heartbeat.as_ref().map(|it| it.value.fixed()),
            devices,
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build()
                .expect("no setting can be wrong"),
            actors,
            reader: Uuid::new_v4().to_string(),
            names: Mutex::default(),
            source: Mutex::new(source),
        })
    }

    /// A request with the user's good token; its status and its body, `null` if that is no JSON.
    pub(super) async fn call(
        &self,
        user: &str,
        verb: &str,
        path: &str,
        body: Option<&Value>,
        gateway: Option<&str>,
    ) -> Result<(u16, Value), String> {
        let token = self.site.signer.good(user);
        let address = self.gateway(gateway);
        let body = body.map(Value::to_string);
        let answer = self.call_with(Some(&token), verb, path, body, address).await?;
        Ok((answer.status, answer.body))
    }

    /// `body` is sent as it is, as what says that it is JSON.
    pub(super) async fn call_with(
        &self,
        token: Option<&str>,
        verb: &str,
        path: &str,
        body: Option<String>,
        address: Option<SocketAddr>,
    ) -> Result<Answer, String> {
        let address = address.ok_or("every gateway is stopped or frozen")?;
        let verb =
            reqwest::Method::from_bytes(verb.as_bytes()).map_err(|error| error.to_string())?;
        let mut request = self.http.request(verb, format!("http://{address}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        // Somebody else's gateways may refuse those that they do not know.
        if self.site.deployment.is_some() {
            request = request.header("origin", FOREIGN_ORIGIN);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.map_err(|error| {
            if error.is_connect() {
                format!("nothing listens at {address}")
            } else {
                error.to_string()
            }
        })?;
        let status = answer.status().as_u16();
        let header = |name: &str| {
            let value = answer.headers().get(name)?.to_str().ok()?;
            Some((name.to_owned(), value.to_owned()))
        };
        let headers = HEADERS.into_iter().filter_map(header).collect();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let body = match serde_json::from_str(&text) {
            Ok(body) => body,
            Err(_) if text.is_empty() => Value::Null,
            Err(_) => Value::String(text),
        };
        Ok(Answer { status, headers, body })
    }

    /// Where the gateway of this name, or any that runs, is asked.
    pub(super) fn gateway(&self, name: Option<&str>) -> Option<SocketAddr> {
        let name = self.asked(name)?;
        let number = (0..self.site.gateways.len()).find(|n| numbered(*n) == name);
        number.map(|n| self.site.gateways[n])
    }

    /// The name of the gateway that is asked: this one, or any that runs.
    pub(super) fn asked(&self, name: Option<&str>) -> Option<String> {
        let names = self.names();
        let runs = |name: &String| !names.stopped.contains_key(name);
        let all = || (0..self.site.gateways.len()).map(numbered);
        name.map(str::to_owned).or_else(|| all().find(runs))
    }

    pub(super) fn user(&self, actor: &str) -> Result<&str, String> {
        let user = self.actors.get(actor).map(String::as_str);
        user.ok_or_else(|| format!("there is no actor `{actor}`"))
    }

    pub(super) fn actors(&self) -> impl Iterator<Item = (&str, &str)> {
        self.actors.iter().map(|(name, user)| (name.as_str(), user.as_str()))
    }

    pub(super) fn reader(&self) -> &str {
        &self.reader
    }

    pub(super) fn room(&self, name: &str) -> Result<String, String> {
        let names = self.names();
        let id = names.rooms.get(name).or_else(|| names.captured.get(name)).cloned();
        id.ok_or_else(|| format!("there is no room `{name}`"))
    }

    pub(super) fn rooms(&self) -> Vec<(String, String)> {
        self.names().rooms.clone().into_iter().collect()
    }

    pub(super) fn name_room(&self, name: &str, id: String) {
        self.names().rooms.insert(name.to_owned(), id);
    }

    /// A room that a request has made is judged like the others.
    pub(super) fn capture(&self, name: &str, value: &str, is_room: bool) {
        self.recorder.call(value, name);
        let mut names = self.names();
        names.captured.insert(name.to_owned(), value.to_owned());
        if is_room {
            names.rooms.insert(name.to_owned(), value.to_lowercase());
        }
    }

    pub(super) fn messages(&self, name: &str) -> Result<Vec<Named>, String> {
        let messages = self.names().messages.get(name).cloned();
        messages.ok_or_else(|| format!("no message is named `{name}`"))
    }

    pub(super) fn name_messages(&self, name: &str, messages: Vec<Named>) {
        let call = |name: &str, messages: &[Named]| {
            let is_one = messages.len() == 1;
            for (n, message) in messages.iter().enumerate() {
                let name = if is_one { name.to_owned() } else { format!("{name}[{}]", n + 1) };
                self.recorder.call(&message.client_msg_id, &name);
            }
        };
        call(name, &messages);
        let mut names = self.names();
        let round = names.rounds.entry(name.to_owned()).or_default();
        *round += 1;
        let earlier = format!("{name}@{}", *round - 1);
        // In a `repeat` the name means those of the newest round.
        if let Some(before) = names.messages.insert(name.to_owned(), messages) {
            drop(names);
            call(&earlier, &before);
        }
    }

    /// The id that a name stands for in a text.
    pub(super) fn id_of(&self, name: &str) -> Option<String> {
        if name == "uuid" {
            return Some(self.source().uuid().to_string());
        }
        if let Some(id) = self.actors.get(name) {
            return Some(id.clone());
        }
        let (message, part) = name.rsplit_once('.').unwrap_or((name, ""));
        let names = self.names();
        let known = names.captured.get(name).or_else(|| names.rooms.get(name));
        if let Some(id) = known {
            return Some(id.clone());
        }
        let sent = names.messages.get(message).and_then(|all| all.first()).cloned();
        drop(names);
        match (sent, part) {
            (Some(sent), "") => sent.payload["clientMsgId"].as_str().map(str::to_owned),
            (Some(sent), "id") => self.message_id(&sent),
            (None, "socket") => {
                self.recorder.look(|story| story.connection_of(message)?.1.socket.clone())
            }
            _ => None,
        }
    }

    /// The `messageId` under which somebody has heard it.
    pub(super) fn message_id(&self, sent: &Named) -> Option<String> {
        self.recorder.look(|story| story.message_id(&sent.room, &sent.client_msg_id))
    }

    /// The devices that are meant, each once.
    pub(super) fn who(&self, who: &Who) -> Vec<String> {
        let names: Vec<&str> = match who {
            Who::One(name) => vec![name],
            Who::Many(names) => names.iter().map(|name| name.value.as_str()).collect(),
        };
        let is_meant = |device: &str| {
            names.iter().any(|name| {
                *name == Who::EVERYONE
                    || device == *name
                    || device.split_once('.').is_some_and(|(actor, _)| actor == *name)
            })
        };
        self.devices.keys().filter(|device| is_meant(device)).cloned().collect()
    }

    pub(super) fn length(&self, time: &Spanned<Time>) -> Duration {
        time.value.resolve(self.times)
    }

    /// Something was broken on purpose. `keeps_running`: it still takes requests.
    pub(super) fn broken(&self, what: &str, text: String, keeps_running: bool) {
        let mut names = self.names();
        names.broken.insert(what.to_owned());
        if !keeps_running {
            names.stopped.entry(what.to_owned()).or_insert_with(|| self.recorder.now());
        }
        drop(names);
        self.recorder.push(What::Broken { what: what.to_owned(), text });
    }

    pub(super) fn mended(&self, what: &str, text: String) {
        let mut names = self.names();
        names.broken.remove(what);
        names.stopped.remove(what);
        drop(names);
        self.recorder.push(What::Mended { what: what.to_owned(), text });
    }

    /// Another program is about to write this into a topic.
    pub(super) fn writes(&self, topic: &str, key: &str, value: &str) {
        let [topic, key, value] = [topic, key, value].map(str::to_owned);
        self.names().written.push([topic.clone(), key.clone(), value.clone()]);
        self.recorder.push(What::Published { topic, key, value });
    }

    /// Topic, key and value of what other programs have written.
    pub(super) fn written(&self) -> Vec<[String; 3]> {
        self.names().written.clone()
    }

    /// A process has ended by itself; `false`: that was known.
    pub(super) fn dies(&self, what: &str) -> bool {
        self.names().dead.insert(what.to_owned())
    }

    /// Whether nothing that was said since then could have reached this device: it had no connection, or one to a gateway
    /// that did nothing.
    pub(super) fn was_deaf(&self, device: &str, since: Duration) -> bool {
        let stopped = self.names().stopped.clone();
        !self.recorder.look(|story| {
            story.connections.values().any(|known| {
                known.device == device
                    && known.closed.is_none_or(|closed| closed > since)
                    && stopped.get(&known.gateway).is_none_or(|at| *at > since)
            })
        })
    }

    pub(super) fn all_broken(&self) -> Vec<String> {
        self.names().broken.iter().cloned().collect()
    }

    pub(super) fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn numbered(n: usize) -> String {
    format!("gw{}", n + 1)
}

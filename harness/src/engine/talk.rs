//! Steps in which devices talk: joining, sending, and the acks of it.

use std::time::Duration;

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use super::{
    acks::Asked,
    device::Device,
    steps::{Aside, Running, StepResult, wrong},
    world::Named,
};
use crate::{
    client::ClientError,
    history::{ConnectionId, Sent, Story, shown},
    scenario::{AckWanted, Join, Raw, Send, Spanned, Time, Wait, WaitFor, Who},
    verdict::{Failure, Margin},
};

/// How long an ack may take where the step does not say: what the contract allows, and a bit for the machine.
const ACK_LIMIT: Duration = Duration::from_secs(12);

/// How long a transport stays open after the goodbye, at the least.
pub(super) const BREATH: Duration = Duration::from_millis(100);

impl Running<'_> {
    pub(super) async fn join(&self, event: &str, join: &Join) -> StepResult {
        let Join { who, room, payload, after, ack, within } = join;
        let mut sent = match (room, payload) {
            (_, Some(payload)) => {
                self.world.fill_json(&payload.value, "").map_err(|why| wrong("a payload", why))?
            }
            (Some(room), None) => json!({"roomId": self.room_id(&room.value)?}),
            (None, None) => Value::Null,
        };
        if let Some(after) = after {
            let name = &after.value;
            let named = self.messages_named(name)?;
            let id = self.world.id_in_time(named.last()).await.ok_or_else(|| {
                wrong(format!("`{name}` can be resumed after"), "nobody has heard it")
            })?;
            // Lint lets `after` stand beside a room alone.
            if let Some(fields) = sent.as_object_mut() {
                fields.insert("after".to_owned(), json!(id));
            }
        }
        let wanted = ack.as_ref().map_or(AckWanted::Success, |ack| ack.value.clone());
        let wanted = if payload.is_some() && ack.is_none() { AckWanted::Any } else { wanted };
        self.ask_all(&self.world.who(&who.value), event, &sent, &wanted, within.as_ref()).await
    }

    pub(super) async fn heartbeat(&self, who: &Who) -> StepResult {
        let names = self.world.who(who);
        self.ask_all(&names, "heartbeat", &json!({}), &AckWanted::Success, None).await
    }

    /// One event of several devices at once.
    async fn ask_all(
        &self,
        names: &[String],
        event: &str,
        payload: &Value,
        wanted: &AckWanted,
        within: Option<&Spanned<Time>>,
    ) -> StepResult {
        let limit = within.map_or(ACK_LIMIT, |time| self.world.length(time));
        let asked = names.iter().map(async |name| {
            let mut asking = self.asking();
            asking.began = self.emit(name, event, payload, *wanted != AckWanted::None).await?;
            self.acks(name, event, asking, std::slice::from_ref(payload), wanted, limit).await
        });
        let used = try_join_all(asked).await?.into_iter().max();
        if *wanted != AckWanted::None && *wanted != AckWanted::Any {
            self.judge();
        }
        Ok(within.and(used).map(|used| Aside::Margin(Margin { used, limit })))
    }

    fn asking(&self) -> Asked {
        let recorder = &self.world.recorder;
        Asked { before: recorder.look(|story| story.sent.len()), began: recorder.now() }
    }

    /// Sends one event; when the device began to.
    async fn emit(
        &self,
        name: &str,
        event: &str,
        payload: &Value,
        wants_ack: bool,
    ) -> Result<Duration, Failure> {
        let (device, recorder) = (&self.world.devices[name], &self.world.recorder);
        let sent = Device::emit(device, recorder, event, payload, wants_ack).await;
        sent.map_err(|error| {
            let expected = format!("{name} sends `{event}`");
            about(wrong(expected, self.why_not(name, &error)), name)
        })
    }

    fn why_not(&self, name: &str, error: &ClientError) -> String {
        let ended = self.world.recorder.look(|story| story.connection_of(name)?.1.ended());
        match ended {
            Some(at) => format!("its connection ended at {}", shown(at)),
            None => error.to_string(),
        }
    }

    pub(super) async fn send(&self, send: &Send) -> StepResult {
        let Send { from, again, name, count, rate, ack, within, .. } = send;
        let limit = within.as_ref().map_or(ACK_LIMIT, |time| self.world.length(time));
        let default = if send.payload.is_some() { AckWanted::Any } else { AckWanted::Accepted };
        let wanted = ack.as_ref().map_or(default, |ack| ack.value.clone());
        let devices = self.world.who(&Who::One(from.value.clone()));
        let Some(device) = devices.first() else {
            return Err(wrong("a device that sends", format!("there is no `{}`", from.value)));
        };
        let payloads: Vec<Value> = if let Some(again) = again {
            let named = self.messages_named(&again.value)?;
            named.into_iter().map(|named| named.payload).collect()
        } else {
            let count = count.as_ref().map_or(1, |count| count.value);
            (0..count).map(|n| self.payload_of(send, n, count)).collect::<Result<_, _>>()?
        };
        if let Some(name) = name {
            let user = self.world.devices[device].lock().await.user.clone();
            let named = payloads.iter().map(|payload| named(&user, payload)).collect();
            self.world.name_messages(&name.value, named);
        }
        let mut asking = self.asking();
        let mut pace =
            rate.as_ref().map(|rate| interval(Duration::from_secs(1) / rate.value.max(1)));
        for payload in &payloads {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            match self.emit(device, "sendMessage", payload, wanted != AckWanted::None).await {
                Ok(began) => asking.began = began,
                // A connection that was broken on purpose ends what goes over it.
                Err(_) if wanted == AckWanted::Any => break,
                Err(failure) => return Err(failure),
            }
        }
        let used = self
            .acks(device, "sendMessage", asking, &payloads, &wanted, limit)
            .await
            .map_err(|failure| match name.as_ref().or(again.as_ref()) {
                // One of several is named already.
                Some(name) if failure.about.len() < 2 => about(failure, &name.value),
                _ => failure,
            })?;
        if wanted != AckWanted::None && wanted != AckWanted::Any {
            self.judge();
        }
        if wanted == AckWanted::Any && !self.has_sent(device, asking.before) {
            let is_over = self.world.recorder.look(|story| {
                story.connection_of(device).is_none_or(|(_, known)| known.ended().is_some())
            });
            let why = if is_over { "connection was over" } else { "network was too slow for it" };
            let reason = format!("nothing of it left {device}, whose {why}");
            return Ok(Some(Aside::Vacuous(reason)));
        }
        Ok(within.as_ref().map(|_| Aside::Margin(Margin { used, limit })))
    }

    /// Whether a message of this device has come through since so many events had been sent.
    fn has_sent(&self, device: &str, before: usize) -> bool {
        self.world.recorder.look(|story| {
            let mut since = story.sent[before..].iter();
            since.any(|it| it.event == "sendMessage" && story.device(it.connection) == device)
        })
    }

    fn payload_of(&self, send: &Send, n: usize, count: usize) -> Result<Value, Failure> {
        let room = match &send.room {
            Some(room) => self.room_id(&room.value)?,
            None => self.world.rooms().into_iter().next().map(|(_, id)| id).unwrap_or_default(),
        };
        if let Some(payload) = &send.payload {
            let filled = self.world.fill_json(&payload.value, &room);
            return filled.map_err(|why| wrong("a payload", why));
        }
        let Some(text) = &send.text else { return Err(wrong("a text", "none")) };
        let mut content = self.world.text(&text.value).map_err(|why| wrong("a text", why))?;
        if count > 1 && matches!(text.value, crate::scenario::Text::Literal(_)) {
            content = format!("{content} {}", n + 1);
        }
        let id = self.world.source().uuid();
        let kind = send.kind.as_ref().map_or("TEXT", |kind| &kind.value);
        Ok(json!({"roomId": room, "clientMsgId": id, "type": kind, "content": content}))
    }

    pub(super) async fn raw(&self, raw: &Raw) -> StepResult {
        let frame = self.world.fill(&raw.frame.value).map_err(|why| wrong("a frame", why))?;
        let name = &raw.device.value;
        let Some(device) = self.world.devices.get(name) else {
            return Err(wrong("a device", format!("there is no `{name}`")));
        };
        let recorder = &self.world.recorder;
        let before = recorder.look(|story| story.sent.len());
        let mut device = device.lock().await;
        let limit = device.delay() + BREATH;
        let sent = device.frame(&frame).await;
        drop(device);
        sent.map_err(|error| {
            about(wrong(format!("{name} sends a frame"), self.why_not(name, &error)), name)
        })?;
        // An event is on its way until the wire has seen it; a later `wait` would take nothing for everything.
        if frame.starts_with("42") && frame.ends_with(']') {
            let seen = |story: &Story| {
                let (id, _) = story.connection_of(name)?;
                story.sent[before..].iter().find(|sent| sent.connection == id).map(drop)
            };
            recorder.until(Instant::now() + limit, seen).await;
        }
        Ok(None)
    }

    pub(super) async fn wait(&self, wait: &Wait) -> StepResult {
        let limit = self.world.length(&wait.within);
        let began = Instant::now();
        let devices = self.world.who(&Who::One(wait.device.value.clone()));
        let is_so_already = wait.until.value == WaitFor::Connected
            && self.world.recorder.look(|story| {
                let is_connected = |name: &String| {
                    story.connection_of(name).is_some_and(|(_, known)| known.is_connected())
                };
                devices.iter().all(is_connected)
            });
        // Who is connected already could not have been seen otherwise.
        if !is_so_already {
            self.judge();
        }
        for name in devices {
            let reached = |story: &Story| {
                let (id, known) = story.connection_of(&name)?;
                let is_so = match wait.until.value {
                    WaitFor::Connected => known.is_connected(),
                    WaitFor::Disconnected => known.ended().is_some(),
                    WaitFor::Closed => known.closed.is_some(),
                    WaitFor::Upgraded => known.upgraded.is_some() && known.ended().is_none(),
                    WaitFor::Answered => {
                        asked(story, id).count() > 0
                            && asked(story, id).all(|sent| !sent.acks.is_empty())
                    }
                };
                is_so.then_some(())
            };
            if self.world.recorder.until(began + limit, reached).await.is_none() {
                let (word, seen) = match wait.until.value {
                    WaitFor::Connected => ("is connected", "it is not"),
                    WaitFor::Disconnected => ("is disconnected", "it is connected"),
                    WaitFor::Closed => ("has no transport any more", "it is open"),
                    WaitFor::Upgraded => ("has gone over to a WebSocket", "it has not"),
                    WaitFor::Answered => {
                        let missing = self.world.recorder.look(|story| {
                            let (id, _) = story.connection_of(&name)?;
                            (asked(story, id).count() > 0).then_some("one is missing")
                        });
                        ("has an ack for everything", missing.unwrap_or("it asked for no ack"))
                    }
                };
                return Err(about(
                    wrong(format!("{name} {word} within {}", shown(limit)), seen),
                    &name,
                ));
            }
        }
        Ok(Some(Aside::Margin(Margin { used: began.elapsed(), limit })))
    }

    pub(super) fn room_id(&self, name: &str) -> Result<String, Failure> {
        self.world.room(name).map_err(|why| wrong("a room", why))
    }

    pub(super) fn messages_named(&self, name: &str) -> Result<Vec<Named>, Failure> {
        self.world.messages(name).map_err(|why| wrong("a message", why))
    }
}

/// What a connection wants an ack for.
fn asked(story: &Story, connection: ConnectionId) -> impl Iterator<Item = &Sent> {
    story.sent.iter().filter(move |sent| sent.connection == connection && sent.ack_id.is_some())
}

fn named(user: &str, payload: &Value) -> Named {
    let id = |field: &str| payload[field].as_str().unwrap_or_default().to_lowercase();
    Named {
        room: id("roomId"),
        sender: user.to_lowercase(),
        client_msg_id: id("clientMsgId"),
        payload: payload.clone(),
    }
}

/// A failure that this is part of.
pub(super) fn about(mut failure: Failure, name: &str) -> Failure {
    failure.about.push(name.to_owned());
    failure
}

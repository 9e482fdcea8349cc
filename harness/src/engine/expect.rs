//! Steps that say what must be seen: now, within a time, or for a time.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    looks::Look,
    observe,
    steps::{Running, StepResult, wrong},
    talk::about,
    world::Named,
};
use crate::{
    history::{Story, What, shown},
    scenario::{Deliver, Expect, Never, Request, Spanned, Time},
    verdict::{Failure, Margin},
};

/// How long a delivery may take where the step does not say: it is never there at once.
const DELIVER_LIMIT: Duration = Duration::from_secs(5);

/// How often we look at what does not wake us.
const POLL: Duration = Duration::from_millis(15);

/// How much longer we look at what was not true in time, to say how late it was.
const LATE_LIMIT: Duration = Duration::from_secs(3);

impl Running<'_> {
    pub(super) async fn expect(&self, expect: &Expect) -> StepResult {
        self.judge();
        let expected = self.in_words(expect);
        let names = [&expect.presence, &expect.history, &expect.stored];
        let names = names.into_iter().flatten().map(|name| name.value.clone());
        let with =
            |failure: Failure| names.clone().fold(failure, |failure, name| about(failure, &name));
        let look = async || self.look(expect).await;
        match (&expect.within, &expect.lasting) {
            (Some(within), _) => self.becomes(&expected, within, look).await.map_err(with),
            (None, Some(lasting)) => self.stays(&expected, lasting, look).await.map_err(with),
            (None, None) => {
                let Look { is_true, seen } = look().await;
                if is_true { Ok(None) } else { Err(with(wrong(expected, seen))) }
            }
        }
    }

    async fn becomes(
        &self,
        expected: &str,
        within: &Spanned<Time>,
        look: impl AsyncFn() -> Look,
    ) -> StepResult {
        let limit = self.world.length(within);
        let began = Instant::now();
        let mut last = None;
        loop {
            let Look { is_true, seen } = look().await;
            let used = began.elapsed();
            match (is_true, used > limit) {
                (true, false) => return Ok(Some(Margin { used, limit })),
                (true, true) => {
                    let expected = format!("{expected} within {}", shown(limit));
                    let mut failure = wrong(expected, last.unwrap_or(seen));
                    failure.limit = Some(limit);
                    failure.late = Some(used.saturating_sub(limit));
                    return Err(failure);
                }
                (false, true) if used > limit + LATE_LIMIT => {
                    let expected = format!("{expected} within {}", shown(limit));
                    let mut failure = wrong(expected, seen);
                    failure.limit = Some(limit);
                    return Err(failure);
                }
                (false, _) => last = Some(seen),
            }
            sleep(POLL).await;
        }
    }

    async fn stays(
        &self,
        expected: &str,
        lasting: &Spanned<Time>,
        look: impl AsyncFn() -> Look,
    ) -> StepResult {
        let limit = self.world.length(lasting);
        let began = Instant::now();
        loop {
            let Look { is_true, seen } = look().await;
            let used = began.elapsed();
            if !is_true {
                let seen = format!("{seen}, after {}", shown(used));
                return Err(wrong(format!("{expected} for {}", shown(limit)), seen));
            }
            if used >= limit {
                return Ok(None);
            }
            sleep(POLL).await;
        }
    }

    fn in_words(&self, expect: &Expect) -> String {
        let mut words = Vec::new();
        if let Some(actor) = &expect.presence {
            words.push(format!("{} is", actor.value));
            words.extend(expect.online.map(|it| if it { "online" } else { "offline" }.to_owned()));
            words.extend(expect.sockets.map(|sockets| format!("on {sockets} sockets")));
        }
        if let Some(key) = &expect.redis {
            words.push(format!("Redis's `{}`", key.value));
            words.extend(expect.exists.map(|it| if it { "exists" } else { "is gone" }.to_owned()));
            words.extend(expect.fields.map(|count| format!("has {count} fields")));
            words.extend(expect.ttl.as_ref().map(|ttl| {
                let most = self.world.length(ttl);
                format!("has a TTL of at most {} and over {}", shown(most), shown(most / 2))
            }));
        }
        for (what, name) in [
            ("the history of", &expect.history),
            ("the rows of", &expect.stored),
            ("the topic", &expect.topic),
        ] {
            words.extend(name.as_ref().map(|name| format!("{what} `{}`", name.value)));
        }
        if let Some(messages) = &expect.messages {
            let names: Vec<&str> = messages.iter().map(|name| name.value.as_str()).collect();
            words.push(format!("is [{}]", names.join(", ")));
        }
        words.extend(expect.count.as_ref().map(|count| format!("has {} messages", count.value)));
        words.join(" ")
    }

    async fn look(&self, expect: &Expect) -> Look {
        let looked = match expect {
            Expect { presence: Some(actor), .. } => {
                self.look_at_presence(&actor.value, expect).await
            }
            Expect { redis: Some(key), .. } => self.look_at_redis(&key.value, expect).await,
            Expect { history: Some(room), .. } => match self.world.room(&room.value) {
                Ok(room) => observe::history_ids(self.world, &room)
                    .await
                    .and_then(|ids| self.compare(&ids, expect)),
                Err(why) => Err(why),
            },
            Expect { stored: Some(room), .. } => match self.world.room(&room.value) {
                Ok(room) => observe::stored_ids(self.world, &room)
                    .await
                    .and_then(|ids| self.compare(&ids, expect)),
                Err(why) => Err(why),
            },
            Expect { topic: Some(topic), .. } => observe::record_ids(self.world, &topic.value)
                .await
                .and_then(|ids| self.compare(&ids, expect)),
            _ => Err("nothing to look at".to_owned()),
        };
        looked.unwrap_or_else(|seen| Look { is_true: false, seen })
    }

    /// `ids`: the `clientMsgId`s that are there, in order.
    fn compare(&self, ids: &[String], expect: &Expect) -> Result<Look, String> {
        let mut is_true = expect.count.as_ref().is_none_or(|count| count.value == ids.len());
        if let Some(messages) = &expect.messages {
            let mut wanted = Vec::new();
            for name in messages {
                let named = self.world.messages(&name.value)?;
                wanted.extend(named.into_iter().map(|named| named.client_msg_id));
            }
            is_true &= wanted == *ids;
        }
        let history = self.world.recorder.history();
        let shown: Vec<String> = ids.iter().take(20).map(|id| history.name(id)).collect();
        Ok(Look { is_true, seen: format!("{} messages: {}", ids.len(), shown.join(", ")) })
    }

    pub(super) async fn deliver(&self, deliver: &Deliver) -> StepResult {
        self.judge();
        let limit = deliver.within.as_ref().map_or(DELIVER_LIMIT, |it| self.world.length(it));
        let times = deliver.times.as_ref().map_or(1, |times| times.value);
        let named = self.messages_named(&deliver.message.value)?;
        let devices = self.world.who(&deliver.to.value);
        let began = Instant::now();
        let all_heard = |story: &Story| {
            let is_short = devices
                .iter()
                .any(|device| named.iter().any(|message| heard(story, device, message) < times));
            (!is_short).then_some(())
        };
        let recorder = &self.world.recorder;
        let in_time = recorder.until(began + limit, all_heard).await;
        let used = began.elapsed();
        if in_time.is_none() {
            let mut failure = self.not_delivered(deliver, times, limit);
            let late = recorder.until(began + limit + LATE_LIMIT, all_heard).await;
            failure.late = late.map(|()| began.elapsed().saturating_sub(limit));
            return Err(failure);
        }
        let too_often = recorder.look(|story| {
            devices.iter().find_map(|device| {
                let times_of = |message| heard(story, device, message);
                named.iter().map(times_of).find(|heard| *heard > times).map(|n| (device.clone(), n))
            })
        });
        if let Some((device, count)) = too_often {
            let message = &deliver.message.value;
            let expected = format!("{device} hears `{message}` {}", how_often(times));
            return Err(about(wrong(expected, how_often(count)), &device));
        }
        Ok(deliver.within.as_ref().map(|_| Margin { used, limit }))
    }

    fn not_delivered(&self, deliver: &Deliver, times: usize, limit: Duration) -> Failure {
        let message = &deliver.message.value;
        let named = self.world.messages(message).unwrap_or_default();
        let devices = self.world.who(&deliver.to.value);
        let (missing, seen) = self.world.recorder.look(|story| {
            let mut missing = Vec::new();
            let mut seen = Vec::new();
            for device in &devices {
                let count = named.iter().filter(|it| heard(story, device, it) >= times).count();
                if count < named.len() {
                    missing.push(device.clone());
                    seen.push(match named.as_slice() {
                        [one] => {
                            format!("{device} heard it {}", how_often(heard(story, device, one)))
                        }
                        _ if times == 1 => format!("{device} heard {count} of {}", named.len()),
                        _ => format!(
                            "{device} heard {count} of {} {}",
                            named.len(),
                            how_often(times)
                        ),
                    });
                }
            }
            (missing, seen)
        });
        let often = if times == 1 { String::new() } else { format!(" {}", how_often(times)) };
        let expected =
            format!("`{message}` reaches {}{often} within {}", devices.join(", "), shown(limit));
        let mut failure = wrong(expected, seen.join("; "));
        failure.limit = Some(limit);
        missing.iter().chain([message]).fold(failure, |failure, name| about(failure, name))
    }

    pub(super) async fn never(&self, never: &Never) -> StepResult {
        self.judge();
        let limit = self.world.length(&never.lasting);
        let named = self.messages_named(&never.message.value)?;
        let devices = self.world.who(&never.to.value);
        let message = &never.message.value;
        let anybody = |story: &Story| {
            devices
                .iter()
                .find(|device| named.iter().any(|it| heard(story, device, it) > 0))
                .cloned()
        };
        let deadline = Instant::now() + limit;
        if let Some(device) = self.world.recorder.until(deadline, anybody).await {
            let expected = format!("{device} never hears `{message}`");
            return Err(about(about(wrong(expected, "it did"), &device), message));
        }
        let is_known = self.world.recorder.look(|story| {
            let is_it = |id: &str, known: &Named| known.client_msg_id == id;
            let was_heard = story
                .deliveries
                .iter()
                .any(|it| named.iter().any(|known| is_it(&it.id("clientMsgId"), known)));
            let was_answered = story.sent.iter().any(|sent| {
                !sent.acks.is_empty()
                    && sent
                        .id("clientMsgId")
                        .is_some_and(|id| named.iter().any(|known| is_it(&id, known)))
            });
            was_heard || was_answered
        });
        if !is_known {
            self.is_vacuous(format!(
                "`{message}` was never answered, so that nobody heard it says nothing"
            ));
        }
        Ok(None)
    }

    pub(super) async fn request(&self, request: &Request) -> StepResult {
        let fill = |text: &str| self.world.fill(text).map_err(|why| wrong("a request", why));
        let call = fill(&request.call.value)?;
        let (verb, path) = call.split_once(' ').unwrap_or(("GET", &call));
        let body = match &request.body {
            Some(body) => {
                Some(self.world.fill_json(&body.value, "").map_err(|why| wrong("a body", why))?)
            }
            None => None,
        };
        let user = self.world.user(&request.by.value).map_err(|why| wrong("an actor", why))?;
        let token = self.world.site.signer.token(request.token, user);
        let token = token
            .as_ref()
            .map(|token| token.as_str().map_or_else(|| token.to_string(), str::to_owned));
        let gateway = self.world.asked(request.to.as_ref().map(|to| to.value.as_str()));
        let began = self.world.recorder.now();
        let to = gateway.as_deref();
        let answered = self.world.call_with(token.as_deref(), verb, path, body.as_ref(), to).await;
        let (status, reply) = answered.clone().unwrap_or_default();
        self.world.recorder.push(What::Called {
            user: user.to_owned(),
            gateway,
            call: call.clone(),
            began,
            status,
            reply,
        });
        let by = &request.by.value;
        let (status, reply) = answered
            .map_err(|why| about(wrong(format!("`{call}` of {by} is answered"), why), by))?;
        let named = self.named(&reply);
        if let Some(wanted) = &request.status {
            self.judge();
            if wanted.value != status {
                let expected = format!("`{call}` of {by} is answered {}", wanted.value);
                return Err(about(wrong(expected, format!("{status} {named}")), by));
            }
        } else if status >= 400 {
            let expected = format!("`{call}` of {by} succeeds");
            return Err(about(wrong(expected, format!("{status} {named}")), by));
        }
        if let Some(wanted) = &request.reply {
            self.judge();
            let wanted =
                self.world.fill_json(&wanted.value, "").map_err(|why| wrong("a reply", why))?;
            if !contains(&reply, &wanted) {
                let expected = format!("the reply to `{call}` of {by} has {}", self.named(&wanted));
                return Err(about(wrong(expected, named), by));
            }
        }
        for (name, pointer) in &request.capture {
            let value =
                pointer.value.split('.').fold(&reply, |value, part| match part.parse::<usize>() {
                    Ok(index) if value.is_array() => &value[index],
                    _ => &value[part],
                });
            let Some(value) = value.as_str() else {
                let expected = format!("the reply to `{call}` has a text at `{}`", pointer.value);
                return Err(about(wrong(expected, named), by));
            };
            self.world.capture(name, value, verb == "POST" && path == "/rooms");
        }
        Ok(None)
    }

    /// JSON with names instead of ids.
    fn named(&self, value: &Value) -> String {
        self.world.recorder.history().with_names(&value.to_string())
    }
}

/// How often a device heard a message, over all its connections.
fn heard(story: &Story, device: &str, message: &Named) -> usize {
    let is_it = |heard: &&crate::history::Delivery| {
        story.device(heard.connection) == device
            && heard.id("clientMsgId") == message.client_msg_id
            && heard.id("roomId") == message.room
            && heard.id("senderId") == message.sender
    };
    story.deliveries.iter().filter(is_it).count()
}

fn how_often(times: usize) -> String {
    match times {
        0 => "not at all".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{times} times"),
    }
}

/// Whether everything that is wanted is there: fields of an object, items of a list in their order.
fn contains(seen: &Value, wanted: &Value) -> bool {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| seen.get(name).is_some_and(|seen| contains(seen, wanted))),
        (Value::Array(seen), Value::Array(wanted)) => {
            seen.len() == wanted.len()
                && seen.iter().zip(wanted).all(|(seen, wanted)| contains(seen, wanted))
        }
        _ => seen == wanted,
    }
}

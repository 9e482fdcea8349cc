//! Steps that say what must be seen: now, within a time, or for a time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    looks::Look,
    observe,
    steps::{Aside, Running, StepResult, wrong},
    talk::about,
    topics,
};
use crate::{
    contract::least_ttl,
    history::shown,
    plural::counted,
    scenario::{Expect, Spanned, Time},
    verdict::{Failure, Margin},
};

/// How often we look at what does not wake us.
pub(super) const POLL: Duration = Duration::from_millis(15);

/// How long after the end of its time a look may end that began in time, for a busy machine.
pub(super) const LOOK_SLACK: Duration = Duration::from_millis(250);

/// How much longer we look at what was not true in time, to say how late it was.
pub(super) const LATE_LIMIT: Duration = Duration::from_secs(3);

impl Running<'_> {
    pub(super) async fn expect(&self, expect: &Expect) -> StepResult {
        self.judge();
        let expected = self.in_words(expect);
        let names = self.is_about(expect);
        let with =
            |failure: Failure| names.iter().fold(failure, |failure, name| about(failure, name));
        let look = async || self.look(expect).await;
        match (&expect.within, &expect.lasting) {
            (Some(within), _) => self.becomes(&expected, within, look).await.map_err(with),
            (None, Some(lasting)) => self.stays(&expected, lasting, look).await.map_err(with),
            (None, None) => {
                let Look { is_true, seen } = look().await;
                let seen = || format!("{seen} at once; `within: 1s` would wait for it");
                if is_true { Ok(None) } else { Err(with(wrong(expected, seen()))) }
            }
        }
    }

    /// The people, rooms and messages that are looked at, by name.
    fn is_about(&self, expect: &Expect) -> Vec<String> {
        let subjects = [&expect.presence, &expect.history, &expect.stored].into_iter().flatten();
        let messages = expect.messages.iter().flatten();
        let mut names: Vec<String> = subjects.chain(messages).map(|it| it.value.clone()).collect();
        let key = expect.redis.as_ref().map_or("", |key| key.value.as_str());
        let of_key = |name: &&str| key.contains(&format!("${{{name}}}"));
        names.extend(self.world.actors().map(|(name, _)| name).filter(of_key).map(str::to_owned));
        names
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
            // What is seen was so at some moment of the look: one that ends long after the time says nothing about it.
            let mut used = began.elapsed();
            let Look { is_true, seen } = look().await;
            if began.elapsed() > limit + LOOK_SLACK {
                used = began.elapsed();
            }
            match (is_true, used > limit) {
                (true, false) => return Ok(Some(Aside::Margin(Margin { used, limit }))),
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
            words
                .extend(expect.sockets.map(|sockets| format!("on {}", counted(sockets, "socket"))));
        }
        if let Some(key) = &expect.redis {
            words.push(format!("Redis's `{}`", key.value));
            let mut said = Vec::new();
            let exists = expect.exists.filter(|_| expect.field.is_none());
            said.extend(exists.map(|it| if it { "exists" } else { "is gone" }.to_owned()));
            said.extend(expect.fields.map(|count| format!("has {}", counted(count, "field"))));
            said.extend(expect.field.as_ref().map(|field| {
                let value = expect.value.as_ref().map(|value| format!(" with {}", value.value));
                let has = if expect.exists == Some(false) { "has not" } else { "has" };
                format!("{has} the field `{}`{}", field.value, value.unwrap_or_default())
            }));
            said.extend(expect.ttl.as_ref().map(|ttl| {
                let most = self.world.length(ttl);
                format!(
                    "has a TTL of at most {} and over {}",
                    shown(most),
                    shown(least_ttl(&key.value, most))
                )
            }));
            words.push(said.join(" and "));
        }
        for (what, name) in [
            ("the history of", &expect.history),
            ("the table of", &expect.stored),
            ("the topic", &expect.topic),
        ] {
            words.extend(name.as_ref().map(|name| format!("{what} `{}`", name.value)));
        }
        if let Some(messages) = &expect.messages {
            let names: Vec<&str> = messages.iter().map(|name| name.value.as_str()).collect();
            words.push(format!("has [{}] and nothing else", names.join(", ")));
        }
        words.extend(
            expect.count.as_ref().map(|count| format!("has {}", counted(count.value, "message"))),
        );
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
            Expect { topic: Some(topic), .. } => topics::record_ids(self.world, &topic.value)
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
        // Ids get their names with the report.
        let shown = ids.iter().take(20).map(|id| match id.as_str() {
            "" => "something that is no message".to_owned(),
            id => format!("`{id}`"),
        });
        let shown: Vec<String> = shown.collect();
        let count = counted(ids.len(), "message");
        let more = if ids.len() > shown.len() { ", ..." } else { "" };
        let seen =
            if shown.is_empty() { count } else { format!("{count}: {}{more}", shown.join(", ")) };
        Ok(Look { is_true, seen })
    }
}

//! `publish`: where a record can go, and whether it can have a name.

use super::{Linter, again::name_in};
use crate::{
    contract::TOPICS,
    scenario::{Backends, Publish, Spanned},
};

/// What a record of a message has at the least.
const FIELDS: [&str; 4] = ["clientMsgId", "content", "roomId", "senderId"];

impl Linter<'_> {
    pub(super) fn publish(&mut self, publish: &Publish) {
        let Publish { topic, key, value, name } = publish;
        if self.scenario.stack.backends == Backends::Embedded {
            let problem = self.problem(topic, "an embedded gateway has no Kafka");
            self.report(problem.with_help("write `stack: { backends: real }`"));
        }
        self.is_one_of("topic", &topic.value, &TOPICS.map(str::to_owned), topic.into());
        self.must_be_up("kafka", topic.into());
        self.names(key);
        self.names_of(value);
        self.published_again(&value.value);
        if let Some(name) = name {
            self.published(name, publish);
        }
    }

    /// What gets a name is a message that gateways or workers read.
    fn published(&mut self, name: &Spanned<String>, publish: &Publish) {
        let Publish { topic, value, .. } = publish;
        let lacks = FIELDS.into_iter().find(|field| !value.value[*field].is_string());
        if let Some(field) = lacks {
            let problem = self.problem(value, format!("a message has a `{field}`: this is none"));
            self.report(problem.with_help("leave `as` out, or write the whole message"));
        } else if !TOPICS[..2].contains(&topic.value.as_str()) {
            let problem = self.problem(topic, "nobody reads messages in this topic");
            self.report(problem.with_help("leave `as` out"));
        }
        let room = name_in(&value.value, "roomId");
        // What a reply has told may be a second name of a room.
        self.writes(name, room.filter(|room| !self.known.captured.contains(room)));
    }
}

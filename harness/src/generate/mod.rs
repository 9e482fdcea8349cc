//! Values that nobody has thought of, made by proptest from a seed: the same seed makes the same ones.

use proptest::{
    prelude::{Just, any, prop, prop_oneof},
    strategy::{BoxedStrategy, Strategy as _, ValueTree as _},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::scenario::Generator;

/// Longest content that the contract accepts, in UTF-16 code units.
const CONTENT_UNITS_MAX: usize = 5_000;

/// Makes values, one after the other.
#[derive(Debug)]
pub struct Source {
    runner: TestRunner,
}

impl Source {
    /// Everything that it makes follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self { runner: TestRunner::new_with_rng(Config::default(), rng) }
    }

    /// A new id.
    pub fn uuid(&mut self) -> Uuid {
        let bytes = self.draw(&any::<[u8; 16]>().boxed());
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A text that the contract accepts.
    pub fn chat_text(&mut self) -> String {
        self.draw(&chat_text())
    }

    /// A value of this kind. `room` and a fresh id are used where a payload is to be accepted.
    pub fn value(&mut self, generator: Generator, room: &str) -> Value {
        let id = self.uuid().to_string();
        match generator {
            Generator::ChatText => json!(self.chat_text()),
            Generator::Payload => {
                let mut payload =
                    json!({"roomId": room, "clientMsgId": id, "content": self.chat_text()});
                let extra = self.draw(&extra());
                if let (Some(fields), Value::Object(extra)) = (payload.as_object_mut(), extra) {
                    fields.extend(extra);
                }
                payload
            }
            Generator::MalformedPayload => self.draw(&malformed(room, &id)),
        }
    }

    fn draw<T: std::fmt::Debug>(&mut self, strategy: &BoxedStrategy<T>) -> T {
        let tree = strategy.new_tree(&mut self.runner);
        tree.expect("no strategy here rejects more than a few of its values").current()
    }
}

/// Words, emoji, controls, whatever a keyboard or a bug makes; no NUL, which the contract refuses.
fn chat_text() -> BoxedStrategy<String> {
    let one = prop_oneof![
        4 => prop::char::range(' ', '~'),
        2 => any::<char>().prop_filter("no NUL", |c| *c != '\0'),
        1 => prop::sample::select(vec!['\u{1F642}', '\u{200D}', '\u{202E}', '\u{0301}', '"', '\\', '\n', '\u{1e}', '\u{2028}']),
    ];
    let of = |len: std::ops::Range<usize>| {
        prop::collection::vec(one.clone(), len).prop_map(String::from_iter)
    };
    // Each character is one or two units.
    prop_oneof![20 => of(1..60), 1 => of(1_000..CONTENT_UNITS_MAX / 2 + 1)].boxed()
}

/// Fields that the contract does not know, and a type now and then.
fn extra() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"type": "TEXT"})),
        Just(json!({"type": "IMAGE"})),
        "[a-z]{3,8}".prop_map(|name| json!({ format!("x-{name}"): [1, null, {"a": "\u{1F642}"}] })),
    ]
    .boxed()
}

fn malformed(room: &str, id: &str) -> BoxedStrategy<Value> {
    let good = json!({"roomId": room, "clientMsgId": id, "content": "hi"});
    let broken = prop_oneof![
        Just(json!(null)),
        Just(json!(7)),
        Just(json!(-1.5e300)),
        Just(json!([7])),
        Just(json!("")),
        Just(json!({})),
        Just(json!({"deep": [[[[[[]]]]]]})),
        Just(json!("not-a-uuid")),
        "[a-z]{1,20}".prop_map(|text| json!(text)),
    ];
    let with = move |field: &'static str, values: BoxedStrategy<Value>| {
        let good = good.clone();
        values
            .prop_map(move |value| {
                let mut payload = good.clone();
                payload[field] = value;
                payload
            })
            .boxed()
    };
    let no_object =
        prop_oneof![Just(json!([])), Just(json!(true)), any::<i64>().prop_map(|n| json!(n))];
    let content = prop_oneof![
        Just(json!("")),
        Just(json!("a\0b")),
        Just(json!("x".repeat(CONTENT_UNITS_MAX + 1))),
        Just(json!(7)),
        Just(json!(null)),
        Just(json!(["hi"])),
    ];
    let kind =
        prop_oneof![Just(json!("SYSTEM")), Just(json!("text")), Just(json!("")), Just(json!(7))];
    prop_oneof![
        with("roomId", broken.clone().boxed()),
        with("clientMsgId", broken.boxed()),
        with("content", content.boxed()),
        with("type", kind.boxed()),
        no_object.boxed(),
    ]
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_values() {
        let draw = |seed| {
            let mut source = Source::new(seed);
            let all = [Generator::ChatText, Generator::Payload, Generator::MalformedPayload];
            let values: Vec<_> = (0..30).map(|n| source.value(all[n % 3], "r")).collect();
            (source.uuid(), values)
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn chat_texts_are_those_of_the_contract() {
        let mut source = Source::new(1);
        for _ in 0..2_000 {
            let text = source.chat_text();
            let units = text.encode_utf16().count();
            assert!((1..=CONTENT_UNITS_MAX).contains(&units) && !text.contains('\0'), "{text:?}");
        }
    }
}

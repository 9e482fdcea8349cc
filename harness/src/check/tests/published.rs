//! Messages whose records another program has written.

use serde_json::{Value, json};

use super::{
    room,
    told::{ALICE, Told},
    uuid,
};
use crate::history::What;

/// Bob hears and the history tells message 0 of alice, who has never sent it.
fn hears_what_was_published(record: Option<Value>) -> Vec<String> {
    let mut told = Told::new();
    told.joins(10, 2);
    if let Some(record) = record {
        let [topic, key] = ["chat.messages.v1".to_owned(), room()];
        told.push(20, What::Published { topic, key, value: record.to_string() });
    }
    told.hears_message(30, 2, 0, 0);
    told.stores(40, &[0]);
    told.findings()
}

fn record() -> Value {
    json!({"roomId": room(), "senderId": uuid(2, ALICE), "clientMsgId": uuid(4, 0), "messageType": "TEXT", "content": "hi"})
}

#[test]
fn what_another_program_has_written_may_be_heard_as_it_was_written() {
    assert_eq!(hears_what_was_published(Some(record())), [""; 0]);
    let [mut content, mut sender, mut kind] = [record(), record(), record()];
    content["content"] = json!("ho");
    sender["senderId"] = json!(uuid(2, ALICE + 1));
    kind["messageType"] = json!("IMAGE");
    for record in [None, Some(content), Some(sender), Some(kind)] {
        let findings = hears_what_was_published(record.clone());
        let [found] = &findings[..] else { panic!("{record:?}: {findings:?}") };
        assert!(found.starts_with("as-sent: "), "{found}");
    }
}

#[test]
fn a_record_that_nobody_has_named_has_a_number() {
    let mut other = record();
    other["content"] = json!("ho");
    let expect = "as-sent: bob.phone heard `published1` of `alice` in `general`, which they never sent there";
    assert_eq!(hears_what_was_published(Some(other)), [expect]);
}

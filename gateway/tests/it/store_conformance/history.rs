//! Reading messages.

use std::{collections::HashMap, iter::once};

use chrono::Duration;
use gateway::{
    chat::{CONTENT_UTF16_UNITS_MAX, Message, MessageId, MessageKind},
    store::{Page, Store},
};
use proptest::{
    collection::vec,
    prelude::any,
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use uuid::Uuid;

use super::{content, message, new, persist, room};

/// What the documentation of `Page` says, in the plainest way.
fn model(messages: &[Message], page: Page) -> Vec<Message> {
    let is_inside = |message: &&Message| {
        page.after.is_none_or(|after| message.id > after)
            && page.before.is_none_or(|before| message.id < before)
    };
    let inside: Vec<Message> = messages.iter().filter(is_inside).cloned().collect();
    let limit = (page.limit as usize).min(inside.len());
    match page.after {
        Some(_) => inside[..limit].to_vec(),
        None => inside[inside.len() - limit..].to_vec(),
    }
}

pub(super) async fn pages_are_right_at_every_edge(store: &dyn Store) {
    let (kitchen, hall) = (room(), room());
    let lowest = MessageId(Uuid::now_v7());
    // Two rooms alternate, so that a page which forgets its room shows it.
    let all: Vec<Message> =
        (0..12).map(|n| message(if n % 2 == 0 { kitchen } else { hall })).collect();
    let highest = MessageId(Uuid::now_v7());
    persist(store, None, 1, &all).await;
    let messages: Vec<Message> = all.iter().filter(|m| m.room_id == kitchen).cloned().collect();
    let cursors: Vec<Option<MessageId>> = [None, Some(lowest), Some(highest)]
        .into_iter()
        .chain(all.iter().map(|m| Some(m.id)))
        .collect();
    for &after in &cursors {
        for &before in &cursors {
            for limit in [1, 2, 5, 6, 7, 100] {
                let page = Page { before, after, limit };
                let found = store.messages(kitchen, page).await.unwrap();
                assert_eq!(found, model(&messages, page), "{page:?}");
            }
        }
    }
    let page = Page { before: None, after: None, limit: 100 };
    assert_eq!(store.messages(room(), page).await.unwrap(), []);
}

pub(super) async fn a_message_exists_in_its_own_room_only(store: &dyn Store) {
    let (kitchen, hall) = (room(), room());
    let messages = [message(kitchen), message(hall)];
    persist(store, None, 2, &messages).await;
    assert!(store.message_exists(kitchen, messages[0].id).await.unwrap());
    assert!(!store.message_exists(hall, messages[0].id).await.unwrap());
    assert!(!store.message_exists(kitchen, MessageId(Uuid::now_v7())).await.unwrap());
}

pub(super) async fn newest_ids_are_those_of_the_rooms_that_have_messages(store: &dyn Store) {
    assert!(store.newest_ids(&[]).await.unwrap().is_empty());
    let rooms: Vec<_> = (0..500).map(|_| room()).collect();
    let messages: Vec<Message> =
        rooms[..300].iter().flat_map(|&room| [message(room), message(room)]).collect();
    // Stored in the wrong order: the newest is the one with the highest id, not the last one stored.
    let reversed: Vec<Message> = messages.iter().rev().cloned().collect();
    persist(store, None, 1, &reversed).await;
    let expected: HashMap<_, _> = messages.iter().map(|m| (m.room_id, m.id)).collect();
    assert_eq!(store.newest_ids(&rooms).await.unwrap(), expected);
    let twice: Vec<_> = rooms.iter().chain(&rooms).copied().collect();
    assert_eq!(store.newest_ids(&twice).await.unwrap(), expected);
    assert!(store.newest_ids(&rooms[300..]).await.unwrap().is_empty());
}

/// Stores messages with these contents and reads them back, both ways in which they come back.
async fn check_contents(store: &dyn Store, texts: impl IntoIterator<Item = String>) {
    let kitchen = room();
    let messages: Vec<Message> = texts
        .into_iter()
        .map(|text| Message { content: content(&text), ..message(kitchen) })
        .collect();
    let stored = persist(store, None, 1, &messages).await;
    assert_eq!(stored, messages.iter().map(new).collect::<Vec<_>>());
    let again = persist(store, Some(1), 1, &messages).await;
    assert!(again.iter().zip(&messages).all(|(found, sent)| found.message == *sent));
    let mut read = Vec::new();
    while read.len() < messages.len() {
        let after = read.last().map_or(MessageId(Uuid::nil()), |last: &Message| last.id);
        let page = Page { before: None, after: Some(after), limit: 100 };
        read.extend(store.messages(kitchen, page).await.unwrap());
    }
    for (read, sent) in read.iter().zip(&messages) {
        assert_eq!(read.content.as_str().as_bytes(), sent.content.as_str().as_bytes());
    }
    assert_eq!(read, messages);
}

pub(super) async fn awkward_content_is_kept_byte_for_byte(store: &dyn Store) {
    let awkward = [
        "\u{ffff}\u{fffe}\u{10ffff}\u{fdd0}",
        "e\u{301} is not é",
        "שלום \u{202e}مرحبا\u{202c}",
        "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪",
        "\u{feff}bom and zero\u{200b}width",
        "\r\n\t\u{1}\u{7f}\u{85}\u{2028}",
        "'; DROP TABLE messages; -- \" \\ \\x00 %s $1 ? {}",
        " ",
    ];
    let longest = ["a".repeat(CONTENT_UTF16_UNITS_MAX), "👍".repeat(CONTENT_UTF16_UNITS_MAX / 2)];
    let longest_in_bytes = "\u{ffff}".repeat(CONTENT_UTF16_UNITS_MAX);
    let texts = awkward.map(str::to_owned).into_iter().chain(longest);
    check_contents(store, texts.chain(once(longest_in_bytes))).await;
}

pub(super) async fn any_content_is_kept_byte_for_byte(store: &dyn Store) {
    let character = any::<char>().prop_filter("no content has a NUL", |&c| c != '\0');
    let text = vec(character, 1..200).prop_map(|chars| chars.into_iter().collect::<String>());
    let mut runner = TestRunner::default();
    let texts = vec(text, 256).new_tree(&mut runner).unwrap().current();
    check_contents(store, texts).await;
}

pub(super) async fn times_are_kept_in_whole_milliseconds(store: &dyn Store) {
    let kitchen = room();
    let exact = Message { kind: MessageKind::System, ..message(kitchen) };
    let finer =
        Message { created_at: exact.created_at + Duration::nanoseconds(999_999), ..exact.clone() };
    assert_eq!(persist(store, None, 1, &[finer]).await, [new(&exact)]);
    let page = Page { before: None, after: None, limit: 1 };
    assert_eq!(store.messages(kitchen, page).await.unwrap(), [exact]);
}

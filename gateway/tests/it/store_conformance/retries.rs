//! One message, sent or delivered more than once.

use gateway::{
    chat::{ClientMsgId, Message},
    store::{Batch, Page, Persisted, Store},
};

use super::{TOPIC, batch, message, new, old, persist, retry, room, user};

const NEWEST: Page = Page { before: None, after: None, limit: 100 };

pub(super) async fn a_retry_in_the_same_batch_stands_for_the_first_one(store: &dyn Store) {
    let kitchen = room();
    let (first, other) = (message(kitchen), message(kitchen));
    let entries = [first.clone(), retry(&first), other.clone(), retry(&first), retry(&other)];
    let stored = persist(store, None, 5, &entries).await;
    assert_eq!(stored, [new(&first), old(&first), new(&other), old(&first), old(&other)]);
    assert_eq!(store.messages(kitchen, NEWEST).await.unwrap(), [first, other]);
}

pub(super) async fn a_retry_in_a_later_batch_stands_for_the_first_one(store: &dyn Store) {
    let kitchen = room();
    let first = message(kitchen);
    persist(store, None, 1, std::slice::from_ref(&first)).await;
    let fresh = message(kitchen);
    let entries = [retry(&first), fresh.clone(), retry(&first)];
    let stored = persist(store, Some(1), 4, &entries).await;
    assert_eq!(stored, [old(&first), new(&fresh), old(&first)]);
    assert_eq!(store.messages(kitchen, NEWEST).await.unwrap(), [first, fresh]);
}

pub(super) async fn the_first_spelling_of_a_client_msg_id_is_kept(store: &dyn Store) {
    let kitchen = room();
    let spelled = |text: &str| Message {
        client_msg_id: ClientMsgId::parse(text).unwrap(),
        ..message(kitchen)
    };
    let upper = spelled("0B6F1F4E-5A57-4D0C-9A4F-2F1F6C1F0AFF");
    let mixed = spelled("0b6F1f4e-5a57-4D0c-9A4f-2f1f6c1f0aBB");
    let in_lower_case = |message: &Message| {
        let text = message.client_msg_id.as_str().to_lowercase();
        Message { client_msg_id: ClientMsgId::parse(&text).unwrap(), ..retry(message) }
    };
    let entries = [upper.clone(), in_lower_case(&upper), mixed.clone()];
    let stored = persist(store, None, 3, &entries).await;
    assert_eq!(stored, [new(&upper), old(&upper), new(&mixed)]);
    let later = [in_lower_case(&mixed), in_lower_case(&upper)];
    assert_eq!(persist(store, Some(3), 5, &later).await, [old(&mixed), old(&upper)]);
    let read = store.messages(kitchen, NEWEST).await.unwrap();
    assert_eq!(read[0].client_msg_id.as_str(), "0B6F1F4E-5A57-4D0C-9A4F-2F1F6C1F0AFF");
    assert_eq!(read[1].client_msg_id.as_str(), "0b6F1f4e-5a57-4D0c-9A4f-2f1f6c1f0aBB");
}

pub(super) async fn another_sender_or_room_makes_it_another_message(store: &dyn Store) {
    let (kitchen, hall) = (room(), room());
    let first = message(kitchen);
    let elsewhere = Message { room_id: hall, ..retry(&first) };
    let from_another = Message { sender_id: user(), ..retry(&first) };
    let entries = [first, elsewhere, from_another];
    let stored = persist(store, None, 3, &entries).await;
    assert_eq!(stored, entries.iter().map(new).collect::<Vec<_>>());
}

pub(super) async fn a_redelivery_at_the_position_finds_what_is_stored(store: &dyn Store) {
    let kitchen = room();
    let messages = [message(kitchen), message(kitchen)];
    persist(store, None, 2, &messages).await;
    let found: Vec<_> = messages.iter().map(old).collect();
    // With ids of its own, as after a restart, and with the very same ones.
    let anew: Vec<Message> = messages.iter().map(retry).collect();
    assert_eq!(persist(store, Some(2), 2, &anew).await, found);
    assert_eq!(persist(store, Some(2), 2, &messages).await, found);
    assert_eq!(store.position(TOPIC, 0).await.unwrap(), Some(2));
    assert_eq!(store.messages(kitchen, NEWEST).await.unwrap(), messages);
}

pub(super) async fn a_redelivery_stores_what_is_missing(store: &dyn Store) {
    let kitchen = room();
    let (known, missing) = (message(kitchen), message(kitchen));
    persist(store, None, 10, std::slice::from_ref(&known)).await;
    let entries = [retry(&known), missing.clone()];
    assert_eq!(persist(store, Some(10), 10, &entries).await, [old(&known), new(&missing)]);
    assert_eq!(store.position(TOPIC, 0).await.unwrap(), Some(10));
}

pub(super) async fn a_call_that_is_repeated_as_it_was_finds_the_position_moved(store: &dyn Store) {
    let kitchen = room();
    let messages = [message(kitchen), message(kitchen)];
    persist(store, None, 2, &messages).await;
    let again = store.persist(batch(None, 2, &messages)).await.unwrap();
    assert_eq!(again, Persisted::PositionMoved);
    let more = [message(kitchen)];
    persist(store, Some(2), 3, &more).await;
    let again = store.persist(batch(Some(2), 3, &more)).await.unwrap();
    assert_eq!(again, Persisted::PositionMoved);
    assert_eq!(store.messages(kitchen, NEWEST).await.unwrap().len(), 3);
}

/// As it happens when partitions were added and a room has moved from one to another.
pub(super) async fn retries_in_two_partitions_at_the_same_time_make_one_row(store: &dyn Store) {
    let kitchen = room();
    for round in 0..20 {
        let sent: Vec<Message> = (0..50).map(|_| message(kitchen)).collect();
        let again: Vec<Message> = sent.iter().map(retry).collect();
        let expected = (round > 0).then_some(round);
        let on = |partition, messages| {
            store.persist(Batch { topic: TOPIC, partition, expected, next: round + 1, messages })
        };
        let (one, other) = tokio::join!(on(0, &sent), on(1, &again));
        let (Persisted::Stored(one), Persisted::Stored(other)) = (one.unwrap(), other.unwrap())
        else {
            panic!("each partition has its own position");
        };
        for (one, other) in one.iter().zip(&other) {
            assert_eq!(one.message, other.message);
            assert!(one.is_new != other.is_new, "exactly one of them made the row");
        }
    }
}

//! The compare-and-set of positions, and what it stores.

use gateway::{
    chat::Message,
    store::{Batch, Page, Persisted, Store, StoreError},
};

use super::{TOPIC, batch, message, new, old, persist, retry, room};

const NEWEST: Page = Page { before: None, after: None, limit: 100 };

pub(super) async fn the_first_batch_begins_the_position(store: &dyn Store) {
    let kitchen = room();
    let messages = [message(kitchen), message(kitchen), message(kitchen)];
    assert_eq!(store.position(TOPIC, 0).await.unwrap(), None);
    let stored = persist(store, None, 3, &messages).await;
    assert_eq!(stored, messages.iter().map(new).collect::<Vec<_>>());
    assert_eq!(store.position(TOPIC, 0).await.unwrap(), Some(3));
    let more = [message(kitchen)];
    assert_eq!(persist(store, Some(3), 4, &more).await, [new(&more[0])]);
    assert_eq!(store.position(TOPIC, 0).await.unwrap(), Some(4));
    let read = store.messages(kitchen, NEWEST).await.unwrap();
    assert_eq!(read, [&messages[..], &more].concat());
}

pub(super) async fn a_batch_for_another_position_stores_nothing(store: &dyn Store) {
    let kitchen = room();
    let refused = [message(kitchen)];
    let try_at = async |expected: Option<i64>| {
        let outcome = store.persist(batch(expected, 100, &refused)).await.unwrap();
        assert_eq!(outcome, Persisted::PositionMoved, "{expected:?}");
    };
    try_at(Some(0)).await;
    assert_eq!(store.position(TOPIC, 0).await.unwrap(), None);
    persist(store, None, 5, &[]).await;
    for expected in [None, Some(0), Some(4), Some(6), Some(100), Some(-1)] {
        try_at(expected).await;
    }
    assert_eq!(store.position(TOPIC, 0).await.unwrap(), Some(5));
    assert_eq!(store.messages(kitchen, NEWEST).await.unwrap(), []);
}

pub(super) async fn each_partition_of_each_topic_has_its_own_position(store: &dyn Store) {
    let places = [(TOPIC, 0, 7), (TOPIC, 1, 8), ("another", 0, i64::MAX)];
    for (topic, partition, next) in places {
        let batch = Batch { topic, partition, expected: None, next, messages: &[] };
        assert_eq!(store.persist(batch).await.unwrap(), Persisted::Stored(Vec::new()));
    }
    for (topic, partition, next) in places {
        assert_eq!(store.position(topic, partition).await.unwrap(), Some(next));
    }
    assert_eq!(store.position("another", 1).await.unwrap(), None);
}

pub(super) async fn an_empty_batch_moves_the_position_in_either_direction(store: &dyn Store) {
    assert_eq!(persist(store, None, 0, &[]).await, []);
    for (expected, next) in [(0, 10), (10, 10), (10, 3)] {
        assert_eq!(persist(store, Some(expected), next, &[]).await, []);
        assert_eq!(store.position(TOPIC, 0).await.unwrap(), Some(next));
    }
}

pub(super) async fn a_message_of_an_unknown_room_is_stored(store: &dyn Store) {
    let lost = room();
    let messages = [message(lost)];
    persist(store, None, 1, &messages).await;
    assert_eq!(store.messages(lost, NEWEST).await.unwrap(), messages);
}

pub(super) async fn of_two_batches_for_one_position_exactly_one_wins(store: &dyn Store) {
    persist(store, None, 0, &[]).await;
    for position in 0..20 {
        race(store, Some(position), position + 1).await;
    }
}

pub(super) async fn of_two_first_batches_exactly_one_wins(store: &dyn Store) {
    race(store, None, 1).await;
}

async fn race(store: &dyn Store, expected: Option<i64>, next: i64) {
    let (kitchen, hall) = (room(), room());
    let (first, second) = ([message(kitchen)], [message(hall)]);
    let (one, other) = tokio::join!(
        store.persist(batch(expected, next, &first)),
        store.persist(batch(expected, next, &second)),
    );
    let (winner, loser) = match (one.unwrap(), other.unwrap()) {
        (Persisted::Stored(_), Persisted::PositionMoved) => (kitchen, hall),
        (Persisted::PositionMoved, Persisted::Stored(_)) => (hall, kitchen),
        both => panic!("not exactly one won: {both:?}"),
    };
    assert_eq!(store.messages(winner, NEWEST).await.unwrap().len(), 1);
    assert_eq!(store.messages(loser, NEWEST).await.unwrap(), []);
    assert_eq!(store.position(TOPIC, 0).await.unwrap(), Some(next));
}

pub(super) async fn an_id_that_another_message_has_is_refused_and_nothing_is_stored(
    store: &dyn Store,
) {
    let kitchen = room();
    let taken = [message(kitchen)];
    persist(store, None, 1, &taken).await;
    let clash = [message(kitchen), Message { id: taken[0].id, ..message(kitchen) }];
    let outcome = store.persist(batch(Some(1), 3, &clash)).await;
    assert!(matches!(outcome, Err(StoreError::Rejected(_))), "{outcome:?}");
    assert_eq!(store.position(TOPIC, 0).await.unwrap(), Some(1));
    assert_eq!(store.messages(kitchen, NEWEST).await.unwrap(), taken);
}

pub(super) async fn two_thousand_rows_fit_into_one_batch(store: &dyn Store) {
    let rooms: Vec<_> = (0..50).map(|_| room()).collect();
    let known: Vec<Message> = (0..100).map(|n| message(rooms[n % 50])).collect();
    persist(store, None, 100, &known).await;
    // 1,700 new ones, 100 stored before, 200 retries of new ones.
    let mut messages: Vec<Message> = (0..1_700).map(|n| message(rooms[n % 50])).collect();
    let mut expected: Vec<_> = messages.iter().map(new).collect();
    expected.extend(known.iter().map(old));
    expected.extend(messages[..200].iter().map(old));
    messages.extend(known.iter().map(retry));
    let retries: Vec<Message> = messages[..200].iter().map(retry).collect();
    messages.extend(retries);
    assert_eq!(messages.len(), 2_000);
    assert_eq!(persist(store, Some(100), 2_100, &messages).await, expected);
    assert_eq!(store.position(TOPIC, 0).await.unwrap(), Some(2_100));
    let newest = store.messages(rooms[7], NEWEST).await.unwrap();
    assert_eq!(newest.len(), 36);
}

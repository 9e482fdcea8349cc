//! The outbox of membership changes.

use std::time::Duration;

use gateway::{
    chat::Change,
    store::{Joined, Left, Store},
};

use super::{room, rooms::name, user};

pub(super) async fn every_change_is_in_the_outbox_until_it_is_removed(store: &dyn Store) {
    let (creator, guest) = (user(), user());
    let (kitchen, created) = store.create_room(&name("kitchen"), creator).await.unwrap();
    let Joined::Now { outbox: joined, .. } = store.join(kitchen.id, guest).await.unwrap() else {
        panic!("the guest has not joined");
    };
    let Left::Now { outbox: left } = store.leave(kitchen.id, guest).await.unwrap() else {
        panic!("the guest has not left");
    };
    // What is refused leaves nothing behind.
    assert_eq!(store.join(room(), guest).await.unwrap(), Joined::NoSuchRoom);
    assert_eq!(store.join(kitchen.id, creator).await.unwrap(), Joined::AlreadyAMember);
    assert_eq!(store.leave(kitchen.id, guest).await.unwrap(), Left::NotAMember);

    let outbox = store.outbox(Duration::ZERO, 100).await.unwrap();
    assert_eq!(outbox, [created.clone(), joined.clone(), left.clone()]);
    assert_eq!(outbox[2].change, Change::Left);
    store.outbox_remove(&[created.id, left.id]).await.unwrap();
    assert_eq!(store.outbox(Duration::ZERO, 100).await.unwrap(), std::slice::from_ref(&joined));
    store.outbox_remove(&[joined.id, left.id, i64::MAX]).await.unwrap();
    store.outbox_remove(&[]).await.unwrap();
    assert_eq!(store.outbox(Duration::ZERO, 100).await.unwrap(), []);
}

pub(super) async fn the_outbox_gives_the_oldest_first_and_no_more_than_asked(store: &dyn Store) {
    let mut entries = Vec::new();
    for _ in 0..150 {
        entries.push(store.create_room(&name("kitchen"), user()).await.unwrap().1);
    }
    assert_eq!(store.outbox(Duration::ZERO, 100).await.unwrap(), entries[..100]);
    let ids: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
    store.outbox_remove(&ids[..149]).await.unwrap();
    assert_eq!(store.outbox(Duration::ZERO, 100).await.unwrap(), entries[149..]);
}

pub(super) async fn a_young_change_is_not_given_yet(store: &dyn Store) {
    store.create_room(&name("kitchen"), user()).await.unwrap();
    assert_eq!(store.outbox(Duration::from_hours(1), 100).await.unwrap(), []);
    assert_eq!(store.outbox(Duration::ZERO, 100).await.unwrap().len(), 1);
}

pub(super) async fn an_outbox_id_is_never_used_again(store: &dyn Store) {
    let (_, first) = store.create_room(&name("kitchen"), user()).await.unwrap();
    store.outbox_remove(&[first.id]).await.unwrap();
    let (_, second) = store.create_room(&name("kitchen"), user()).await.unwrap();
    assert!(first.id < second.id);
}

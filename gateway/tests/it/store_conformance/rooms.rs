//! Rooms and memberships.

use futures_util::future::join_all;
use gateway::{
    chat::{Change, Member, RoomName},
    store::{Joined, Left, Store},
};

use super::{room, user};

/// More than any check makes.
const ALL: u32 = 1_000;

pub(super) fn name(text: &str) -> RoomName {
    RoomName::new(text.to_owned()).unwrap()
}

pub(super) async fn a_new_room_has_its_creator_as_the_only_member(store: &dyn Store) {
    let creator = user();
    let (room, outbox) = store.create_room(&name("kitchen"), creator).await.unwrap();
    assert_eq!(room.name, name("kitchen"));
    assert_eq!(room.created_at.timestamp_subsec_nanos() % 1_000_000, 0);
    assert_eq!((outbox.room_id, outbox.user_id), (room.id, creator));
    assert_eq!((outbox.change, outbox.at), (Change::Joined, room.created_at));
    assert_eq!(store.rooms_of(creator, ALL).await.unwrap(), std::slice::from_ref(&room));
    let member = Member { user_id: creator, joined_at: room.created_at };
    assert_eq!(store.members(room.id, ALL).await.unwrap(), [member]);
    assert!(store.is_member(room.id, creator).await.unwrap());
    assert!(!store.is_member(room.id, user()).await.unwrap());
}

pub(super) async fn joining_tells_a_missing_room_from_a_membership(store: &dyn Store) {
    let (creator, guest) = (user(), user());
    let (kitchen, _) = store.create_room(&name("kitchen"), creator).await.unwrap();
    assert_eq!(store.join(room(), guest).await.unwrap(), Joined::NoSuchRoom);
    assert_eq!(store.join(kitchen.id, creator).await.unwrap(), Joined::AlreadyAMember);
    let Joined::Now { joined_at, outbox } = store.join(kitchen.id, guest).await.unwrap() else {
        panic!("the guest has not joined");
    };
    assert_eq!((outbox.room_id, outbox.user_id), (kitchen.id, guest));
    assert_eq!((outbox.change, outbox.at), (Change::Joined, joined_at));
    assert_eq!(joined_at.timestamp_subsec_nanos() % 1_000_000, 0);
    assert!(store.is_member(kitchen.id, guest).await.unwrap());
    assert_eq!(store.rooms_of(guest, ALL).await.unwrap(), std::slice::from_ref(&kitchen));
    assert_eq!(store.join(kitchen.id, guest).await.unwrap(), Joined::AlreadyAMember);
    assert_eq!(store.members(room(), ALL).await.unwrap(), []);
}

pub(super) async fn leaving_works_once(store: &dyn Store) {
    let creator = user();
    let (kitchen, _) = store.create_room(&name("kitchen"), creator).await.unwrap();
    assert_eq!(store.leave(kitchen.id, user()).await.unwrap(), Left::NotAMember);
    assert_eq!(store.leave(room(), creator).await.unwrap(), Left::NotAMember);
    let Left::Now { outbox } = store.leave(kitchen.id, creator).await.unwrap() else {
        panic!("the creator has not left");
    };
    assert_eq!((outbox.room_id, outbox.user_id), (kitchen.id, creator));
    assert_eq!(outbox.change, Change::Left);
    assert_eq!(store.leave(kitchen.id, creator).await.unwrap(), Left::NotAMember);
    assert!(!store.is_member(kitchen.id, creator).await.unwrap());
    assert_eq!(store.rooms_of(creator, ALL).await.unwrap(), []);
    assert_eq!(store.members(kitchen.id, ALL).await.unwrap(), []);
}

pub(super) async fn who_left_may_come_back(store: &dyn Store) {
    let creator = user();
    let (kitchen, joined) = store.create_room(&name("kitchen"), creator).await.unwrap();
    let Left::Now { outbox: left } = store.leave(kitchen.id, creator).await.unwrap() else {
        panic!("the creator has not left");
    };
    let Joined::Now { outbox: back, .. } = store.join(kitchen.id, creator).await.unwrap() else {
        panic!("the creator is not back");
    };
    assert!(joined.id < left.id && left.id < back.id);
    assert!(store.is_member(kitchen.id, creator).await.unwrap());
}

pub(super) async fn rooms_are_listed_oldest_first(store: &dyn Store) {
    let member = user();
    let mut rooms = Vec::new();
    for text in ["c", "a", "b"] {
        rooms.push(store.create_room(&name(text), member).await.unwrap().0);
    }
    let (other, _) = store.create_room(&name("d"), user()).await.unwrap();
    store.join(other.id, member).await.unwrap();
    rooms.push(other);
    assert_eq!(store.rooms_of(member, ALL).await.unwrap(), rooms);
    assert_eq!(store.rooms_of(member, 3).await.unwrap(), rooms[..3], "no more than asked");
}

pub(super) async fn members_are_listed_in_the_order_in_which_they_joined(store: &dyn Store) {
    let (kitchen, outbox) = store.create_room(&name("kitchen"), user()).await.unwrap();
    let mut members = vec![Member { user_id: outbox.user_id, joined_at: outbox.at }];
    for _ in 0..10 {
        let user_id = user();
        let Joined::Now { joined_at, .. } = store.join(kitchen.id, user_id).await.unwrap() else {
            panic!("a new user could not join");
        };
        members.push(Member { user_id, joined_at });
    }
    // Within one millisecond any order is right, as long as it is always the same.
    members.sort_by_key(|member| (member.joined_at, member.user_id));
    assert_eq!(store.members(kitchen.id, ALL).await.unwrap(), members);
    assert_eq!(store.members(kitchen.id, 4).await.unwrap(), members[..4], "no more than asked");
}

pub(super) async fn joins_at_the_same_time_make_one_member(store: &dyn Store) {
    let (kitchen, _) = store.create_room(&name("kitchen"), user()).await.unwrap();
    let guest = user();
    let joins = join_all((0..8).map(|_| store.join(kitchen.id, guest))).await;
    let won = joins.iter().filter(|joined| matches!(joined, Ok(Joined::Now { .. }))).count();
    let lost = joins.iter().filter(|joined| matches!(joined, Ok(Joined::AlreadyAMember))).count();
    assert_eq!((won, lost), (1, 7), "{joins:?}");
    assert_eq!(store.members(kitchen.id, ALL).await.unwrap().len(), 2);
    let outbox = store.outbox(std::time::Duration::ZERO, 100).await.unwrap();
    assert_eq!(outbox.len(), 2);
}

pub(super) async fn a_room_name_is_kept_byte_for_byte(store: &dyn Store) {
    for text in ["'; DROP TABLE rooms; --", " e\u{301} ", "שלום 👩‍👩‍👧", "\u{ffff}\u{202e}\\n%_"]
    {
        let creator = user();
        let (room, _) = store.create_room(&name(text), creator).await.unwrap();
        assert_eq!(store.rooms_of(creator, ALL).await.unwrap(), [room]);
    }
}

//! What every store must do, run on Postgres, on a SQLite file and on SQLite in memory.
//!
//! A check takes a migrated, empty store. Postgres gets a fresh database for each, dropped at its end.

mod backends;
mod changes;
mod history;
mod outages;
mod persist;
mod retries;
mod rooms;
mod schema;

use chrono::{SubsecRound as _, Utc};
use gateway::{
    chat::{ClientMsgId, Content, Message, MessageId, MessageKind, RoomId, UserId},
    store::{Batch, Persisted, Store, StoredMessage},
};
use uuid::Uuid;

const TOPIC: &str = "chat.messages.v1";

macro_rules! on_every_store {
    ($($area:ident::$check:ident,)*) => {
        mod on_postgres {
            $(#[tokio::test]
            async fn $check() {
                super::backends::with_postgres(super::$area::$check).await;
            })*
        }

        mod on_a_sqlite_file {
            $(#[tokio::test]
            async fn $check() {
                super::backends::with_sqlite_file(super::$area::$check).await;
            })*
        }

        mod on_sqlite_in_memory {
            $(#[tokio::test]
            async fn $check() {
                super::backends::with_sqlite_in_memory(super::$area::$check).await;
            })*
        }
    };
}

on_every_store! {
    rooms::a_new_room_has_its_creator_as_the_only_member,
    rooms::joining_tells_a_missing_room_from_a_membership,
    rooms::leaving_works_once,
    rooms::who_left_may_come_back,
    rooms::rooms_are_listed_oldest_first,
    rooms::members_are_listed_in_the_order_in_which_they_joined,
    rooms::joins_at_the_same_time_make_one_member,
    rooms::a_room_name_is_kept_byte_for_byte,
    changes::every_change_is_in_the_outbox_until_it_is_removed,
    changes::the_outbox_gives_the_oldest_first_and_no_more_than_asked,
    changes::a_young_change_is_not_given_yet,
    changes::an_outbox_id_is_never_used_again,
    history::pages_are_right_at_every_edge,
    history::a_message_exists_in_its_own_room_only,
    history::newest_ids_are_those_of_the_rooms_that_have_messages,
    history::awkward_content_is_kept_byte_for_byte,
    history::any_content_is_kept_byte_for_byte,
    history::times_are_kept_in_whole_milliseconds,
    persist::the_first_batch_begins_the_position,
    persist::a_batch_for_another_position_stores_nothing,
    persist::each_partition_of_each_topic_has_its_own_position,
    persist::an_empty_batch_moves_the_position_in_either_direction,
    persist::a_message_of_an_unknown_room_is_stored,
    persist::of_two_batches_for_one_position_exactly_one_wins,
    persist::of_two_first_batches_exactly_one_wins,
    persist::an_id_that_another_message_has_is_refused_and_nothing_is_stored,
    persist::two_thousand_rows_fit_into_one_batch,
    retries::a_retry_in_the_same_batch_stands_for_the_first_one,
    retries::a_retry_in_a_later_batch_stands_for_the_first_one,
    retries::the_first_spelling_of_a_client_msg_id_is_kept,
    retries::another_sender_or_room_makes_it_another_message,
    retries::a_redelivery_at_the_position_finds_what_is_stored,
    retries::a_redelivery_stores_what_is_missing,
    retries::a_call_that_is_repeated_as_it_was_finds_the_position_moved,
    retries::retries_in_two_partitions_at_the_same_time_make_one_row,
}

fn user() -> UserId {
    UserId(Uuid::new_v4())
}

fn room() -> RoomId {
    RoomId(Uuid::new_v4())
}

fn content(text: &str) -> Content {
    Content::new(text.to_owned()).unwrap()
}

fn client_msg_id() -> ClientMsgId {
    ClientMsgId::parse(&Uuid::new_v4().to_string()).unwrap()
}

/// Its id is above that of every message made before.
fn message(room_id: RoomId) -> Message {
    Message {
        id: MessageId(Uuid::now_v7()),
        room_id,
        sender_id: user(),
        client_msg_id: client_msg_id(),
        kind: MessageKind::Text,
        content: content("hello"),
        created_at: Utc::now().trunc_subsecs(3),
    }
}

/// The same message, sent again: it would get another id, a later time, and may be spelled otherwise.
fn retry(message: &Message) -> Message {
    Message {
        id: MessageId(Uuid::now_v7()),
        created_at: message.created_at + chrono::Duration::seconds(1),
        content: content("hello again"),
        kind: MessageKind::Image,
        ..message.clone()
    }
}

fn batch(expected: Option<i64>, next: i64, messages: &[Message]) -> Batch<'_> {
    Batch { topic: TOPIC, partition: 0, expected, next, messages }
}

async fn persist(
    store: &dyn Store,
    expected: Option<i64>,
    next: i64,
    messages: &[Message],
) -> Vec<StoredMessage> {
    match store.persist(batch(expected, next, messages)).await.unwrap() {
        Persisted::Stored(stored) => stored,
        Persisted::PositionMoved => panic!("the position is not {expected:?}"),
    }
}

fn new(message: &Message) -> StoredMessage {
    StoredMessage { message: message.clone(), is_new: true }
}

fn old(message: &Message) -> StoredMessage {
    StoredMessage { message: message.clone(), is_new: false }
}

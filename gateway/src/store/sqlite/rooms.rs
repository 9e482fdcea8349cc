//! Rooms, members and the outbox of membership changes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Sqlite, Transaction};
use uuid::Uuid;

use super::{SqliteStore, pieces, with_values};
use crate::{
    chat::{Change, Member, Room, RoomId, RoomName, UserId},
    store::{
        Joined, Left, OutboxEntry, StoreError,
        rows::{MemberRow, OutboxRow, RoomRow, all, whole_milliseconds},
    },
};

pub(super) async fn create(
    store: &SqliteStore,
    name: &RoomName,
    creator: UserId,
) -> Result<(Room, OutboxEntry), StoreError> {
    const CREATE: &str = "INSERT INTO rooms (id, name, created_at) VALUES (?, ?, ?)";
    let at = whole_milliseconds(Utc::now());
    let room = Room { id: RoomId(Uuid::now_v7()), name: name.clone(), created_at: at };
    let mut transaction = store.begin().await?;
    sqlx::query(CREATE)
        .bind(room.id.0)
        .bind(name.as_str())
        .bind(at.timestamp_millis())
        .execute(&mut *transaction)
        .await?;
    add_member(&mut transaction, room.id, creator, at).await?;
    let outbox = note(&mut transaction, room.id, creator, Change::Joined, at).await?;
    transaction.commit().await?;
    Ok((room, outbox))
}

pub(super) async fn of(
    store: &SqliteStore,
    user: UserId,
    limit: u32,
) -> Result<Vec<Room>, StoreError> {
    const ROOMS: &str = "
        SELECT r.id, r.name, r.created_at
        FROM room_members m JOIN rooms r ON r.id = m.room_id
        WHERE m.user_id = ?
        ORDER BY r.created_at, r.id
        LIMIT ?";
    let query = sqlx::query_as(ROOMS).bind(user.0).bind(limit);
    all::<RoomRow<i64>, _>(query.fetch_all(&store.read).await?)
}

pub(super) async fn join(
    store: &SqliteStore,
    room: RoomId,
    user: UserId,
) -> Result<Joined, StoreError> {
    const HAS_ROOM: &str = "SELECT EXISTS (SELECT 1 FROM rooms WHERE id = ?)";
    let mut transaction = store.begin().await?;
    let has_room: bool =
        sqlx::query_scalar(HAS_ROOM).bind(room.0).fetch_one(&mut *transaction).await?;
    if !has_room {
        return Ok(Joined::NoSuchRoom);
    }
    let joined_at = whole_milliseconds(Utc::now());
    if !add_member(&mut transaction, room, user, joined_at).await? {
        return Ok(Joined::AlreadyAMember);
    }
    let outbox = note(&mut transaction, room, user, Change::Joined, joined_at).await?;
    transaction.commit().await?;
    Ok(Joined::Now { joined_at, outbox })
}

pub(super) async fn leave(
    store: &SqliteStore,
    room: RoomId,
    user: UserId,
) -> Result<Left, StoreError> {
    const LEAVE: &str = "DELETE FROM room_members WHERE room_id = ? AND user_id = ?";
    let mut transaction = store.begin().await?;
    let gone = sqlx::query(LEAVE).bind(room.0).bind(user.0).execute(&mut *transaction).await?;
    if gone.rows_affected() == 0 {
        return Ok(Left::NotAMember);
    }
    let at = whole_milliseconds(Utc::now());
    let outbox = note(&mut transaction, room, user, Change::Left, at).await?;
    transaction.commit().await?;
    Ok(Left::Now { outbox })
}

pub(super) async fn is_member(
    store: &SqliteStore,
    room: RoomId,
    user: UserId,
) -> Result<bool, StoreError> {
    const IS_MEMBER: &str =
        "SELECT EXISTS (SELECT 1 FROM room_members WHERE room_id = ? AND user_id = ?)";
    Ok(sqlx::query_scalar(IS_MEMBER).bind(room.0).bind(user.0).fetch_one(&store.read).await?)
}

pub(super) async fn members(
    store: &SqliteStore,
    room: RoomId,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    const MEMBERS: &str = "
        SELECT user_id, joined_at FROM room_members
        WHERE room_id = ?
        ORDER BY joined_at, user_id
        LIMIT ?";
    let query = sqlx::query_as(MEMBERS).bind(room.0).bind(limit);
    all::<MemberRow<i64>, _>(query.fetch_all(&store.read).await?)
}

pub(super) async fn outbox(
    store: &SqliteStore,
    min_age: Duration,
    limit: u32,
) -> Result<Vec<OutboxEntry>, StoreError> {
    const OUTBOX: &str = "
        SELECT id, room_id, user_id, change, at FROM membership_outbox
        WHERE at <= ?
        ORDER BY id
        LIMIT ?";
    let age = i64::try_from(min_age.as_millis()).unwrap_or(i64::MAX);
    let newest = Utc::now().timestamp_millis().saturating_sub(age);
    let rows = sqlx::query_as(OUTBOX).bind(newest).bind(limit).fetch_all(&store.read).await?;
    all::<OutboxRow<i64>, _>(rows)
}

pub(super) async fn outbox_remove(store: &SqliteStore, ids: &[i64]) -> Result<(), StoreError> {
    const REMOVE: &str = "DELETE FROM membership_outbox WHERE id IN (VALUES ";
    let mut transaction = store.begin().await?;
    for piece in pieces(ids) {
        let mut query = sqlx::query(with_values(REMOVE, piece.len(), 1, ")"));
        for id in piece {
            query = query.bind(id);
        }
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Returns whether there was no such member before.
async fn add_member(
    transaction: &mut Transaction<'static, Sqlite>,
    room: RoomId,
    user: UserId,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    const ADD: &str = "
        INSERT INTO room_members (room_id, user_id, joined_at) VALUES (?, ?, ?)
        ON CONFLICT (room_id, user_id) DO NOTHING";
    let added = sqlx::query(ADD)
        .bind(room.0)
        .bind(user.0)
        .bind(at.timestamp_millis())
        .execute(&mut **transaction)
        .await?;
    Ok(added.rows_affected() == 1)
}

async fn note(
    transaction: &mut Transaction<'static, Sqlite>,
    room: RoomId,
    user: UserId,
    change: Change,
    at: DateTime<Utc>,
) -> Result<OutboxEntry, StoreError> {
    const NOTE: &str =
        "INSERT INTO membership_outbox (room_id, user_id, change, at) VALUES (?, ?, ?, ?)";
    let noted = sqlx::query(NOTE)
        .bind(room.0)
        .bind(user.0)
        .bind(change.as_str())
        .bind(at.timestamp_millis())
        .execute(&mut **transaction)
        .await?;
    Ok(OutboxEntry { id: noted.last_insert_rowid(), room_id: room, user_id: user, change, at })
}

//! Rooms, members and the outbox of membership changes. Times are those of the server: one clock for all.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::PostgresStore;
use crate::{
    chat::{Change, Member, Room, RoomId, RoomName, UserId},
    store::{
        Joined, Left, OutboxEntry, StoreError,
        rows::{MemberRow, OutboxRow, RoomRow, all},
    },
};

type At = DateTime<Utc>;

pub(super) async fn create(
    store: &PostgresStore,
    name: &RoomName,
    creator: UserId,
) -> Result<(Room, OutboxEntry), StoreError> {
    const CREATE: &str = "
        WITH room AS (
            INSERT INTO rooms (id, name, created_at)
            VALUES ($1, $2, date_trunc('milliseconds', now()))
            RETURNING created_at
        ), member AS (
            INSERT INTO room_members (room_id, user_id, joined_at)
            SELECT $1, $3, created_at FROM room
            RETURNING joined_at
        )
        INSERT INTO membership_outbox (room_id, user_id, change, at)
        SELECT $1, $3, $4, joined_at FROM member
        RETURNING id, at";
    let id = RoomId(Uuid::now_v7());
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query_as(CREATE)
        .bind(id.0)
        .bind(name.as_str())
        .bind(creator.0)
        .bind(Change::Joined.as_str())
        .fetch_one(connection.get())
        .await;
    let (outbox_id, at) = connection.settle(outcome)?;
    let room = Room { id, name: name.clone(), created_at: at };
    let outbox =
        OutboxEntry { id: outbox_id, room_id: id, user_id: creator, change: Change::Joined, at };
    Ok((room, outbox))
}

pub(super) async fn of(
    store: &PostgresStore,
    user: UserId,
    limit: u32,
) -> Result<Vec<Room>, StoreError> {
    const ROOMS: &str = "
        SELECT r.id, r.name, r.created_at
        FROM room_members m JOIN rooms r ON r.id = m.room_id
        WHERE m.user_id = $1
        ORDER BY r.created_at, r.id
        LIMIT $2";
    let mut connection = store.acquire().await?;
    let query = sqlx::query_as(ROOMS).bind(user.0).bind(i64::from(limit));
    let outcome = query.fetch_all(connection.get()).await;
    all::<RoomRow<At>, _>(connection.settle(outcome)?)
}

pub(super) async fn join(
    store: &PostgresStore,
    room: RoomId,
    user: UserId,
) -> Result<Joined, StoreError> {
    const JOIN: &str = "
        WITH room AS (
            SELECT id FROM rooms WHERE id = $1
        ), joined AS (
            INSERT INTO room_members (room_id, user_id, joined_at)
            SELECT id, $2, date_trunc('milliseconds', now()) FROM room
            ON CONFLICT DO NOTHING
            RETURNING joined_at
        ), noted AS (
            INSERT INTO membership_outbox (room_id, user_id, change, at)
            SELECT $1, $2, $3, joined_at FROM joined
            RETURNING id, at
        )
        SELECT noted.id, noted.at FROM room LEFT JOIN noted ON true";
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query_as::<_, (Option<i64>, Option<At>)>(JOIN)
        .bind(room.0)
        .bind(user.0)
        .bind(Change::Joined.as_str())
        .fetch_optional(connection.get())
        .await;
    Ok(match connection.settle(outcome)? {
        None => Joined::NoSuchRoom,
        Some((Some(id), Some(at))) => Joined::Now {
            joined_at: at,
            outbox: OutboxEntry { id, room_id: room, user_id: user, change: Change::Joined, at },
        },
        Some(_) => Joined::AlreadyAMember,
    })
}

pub(super) async fn leave(
    store: &PostgresStore,
    room: RoomId,
    user: UserId,
) -> Result<Left, StoreError> {
    const LEAVE: &str = "
        WITH gone AS (
            DELETE FROM room_members WHERE room_id = $1 AND user_id = $2
            RETURNING room_id, user_id
        )
        INSERT INTO membership_outbox (room_id, user_id, change, at)
        SELECT room_id, user_id, $3, date_trunc('milliseconds', now()) FROM gone
        RETURNING id, at";
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query_as(LEAVE)
        .bind(room.0)
        .bind(user.0)
        .bind(Change::Left.as_str())
        .fetch_optional(connection.get())
        .await;
    let noted: Option<(i64, At)> = connection.settle(outcome)?;
    Ok(noted.map_or(Left::NotAMember, |(id, at)| Left::Now {
        outbox: OutboxEntry { id, room_id: room, user_id: user, change: Change::Left, at },
    }))
}

pub(super) async fn is_member(
    store: &PostgresStore,
    room: RoomId,
    user: UserId,
) -> Result<bool, StoreError> {
    const IS_MEMBER: &str =
        "SELECT EXISTS (SELECT FROM room_members WHERE room_id = $1 AND user_id = $2)";
    let mut connection = store.acquire().await?;
    let outcome =
        sqlx::query_scalar(IS_MEMBER).bind(room.0).bind(user.0).fetch_one(connection.get()).await;
    connection.settle(outcome)
}

pub(super) async fn members(
    store: &PostgresStore,
    room: RoomId,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    const MEMBERS: &str = "
        SELECT user_id, joined_at FROM room_members
        WHERE room_id = $1
        ORDER BY joined_at, user_id
        LIMIT $2";
    let mut connection = store.acquire().await?;
    let query = sqlx::query_as(MEMBERS).bind(room.0).bind(i64::from(limit));
    let outcome = query.fetch_all(connection.get()).await;
    all::<MemberRow<At>, _>(connection.settle(outcome)?)
}

pub(super) async fn outbox(
    store: &PostgresStore,
    min_age: Duration,
    limit: u32,
) -> Result<Vec<OutboxEntry>, StoreError> {
    const OUTBOX: &str = "
        SELECT id, room_id, user_id, change, at FROM membership_outbox
        WHERE at <= now() - make_interval(secs => $1)
        ORDER BY id
        LIMIT $2";
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query_as(OUTBOX)
        .bind(min_age.as_secs_f64())
        .bind(i64::from(limit))
        .fetch_all(connection.get())
        .await;
    all::<OutboxRow<At>, _>(connection.settle(outcome)?)
}

pub(super) async fn outbox_remove(store: &PostgresStore, ids: &[i64]) -> Result<(), StoreError> {
    const REMOVE: &str = "DELETE FROM membership_outbox WHERE id = ANY($1)";
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query(REMOVE).bind(ids).execute(connection.get()).await;
    connection.settle(outcome)?;
    Ok(())
}

//! Reading messages. Every statement is a walk along the index `(room_id, id)`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::PostgresStore;
use crate::{
    chat::{Message, MessageId, RoomId},
    store::{
        Page, StoreError,
        rows::{MessageRow, all},
    },
};

pub(super) async fn page(
    store: &PostgresStore,
    room: RoomId,
    page: Page,
) -> Result<Vec<Message>, StoreError> {
    const FIRST_ABOVE: &str = "
        SELECT id, room_id, sender_id, client_msg_id, client_msg_id_text, type, content, created_at
        FROM messages
        WHERE room_id = $1 AND id > $2 AND id < $3
        ORDER BY id
        LIMIT $4";
    const LAST_BELOW: &str = "
        SELECT id, room_id, sender_id, client_msg_id, client_msg_id_text, type, content, created_at
        FROM messages
        WHERE room_id = $1 AND id > $2 AND id < $3
        ORDER BY id DESC
        LIMIT $4";
    // The outermost UUIDs are no UUIDv7, so no message is lost to a missing cursor.
    let after = page.after.map_or(Uuid::nil(), |id| id.0);
    let before = page.before.map_or(Uuid::max(), |id| id.0);
    let is_backward = page.after.is_none();
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query_as(if is_backward { LAST_BELOW } else { FIRST_ABOVE })
        .bind(room.0)
        .bind(after)
        .bind(before)
        .bind(i64::from(page.limit))
        .fetch_all(connection.get())
        .await;
    let mut rows: Vec<MessageRow<DateTime<Utc>>> = connection.settle(outcome)?;
    if is_backward {
        rows.reverse();
    }
    all(rows)
}

pub(super) async fn exists(
    store: &PostgresStore,
    room: RoomId,
    id: MessageId,
) -> Result<bool, StoreError> {
    const EXISTS: &str = "SELECT EXISTS (SELECT FROM messages WHERE room_id = $1 AND id = $2)";
    let mut connection = store.acquire().await?;
    let outcome =
        sqlx::query_scalar(EXISTS).bind(room.0).bind(id.0).fetch_one(connection.get()).await;
    connection.settle(outcome)
}

pub(super) async fn newest_ids(
    store: &PostgresStore,
    rooms: &[RoomId],
) -> Result<HashMap<RoomId, MessageId>, StoreError> {
    const NEWEST: &str = "
        SELECT room.id, newest.id
        FROM unnest($1::uuid[]) AS room (id)
        CROSS JOIN LATERAL (
            SELECT m.id FROM messages m WHERE m.room_id = room.id ORDER BY m.id DESC LIMIT 1
        ) AS newest";
    if rooms.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = rooms.iter().map(|room| room.0).collect();
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query_as(NEWEST).bind(ids).fetch_all(connection.get()).await;
    let newest: Vec<(Uuid, Uuid)> = connection.settle(outcome)?;
    Ok(newest.into_iter().map(|(room, id)| (RoomId(room), MessageId(id))).collect())
}

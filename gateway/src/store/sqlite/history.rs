//! Reading messages. Every statement is a walk along the index `(room_id, id)`.

use std::collections::HashMap;

use uuid::Uuid;

use super::{SqliteStore, pieces, with_values};
use crate::{
    chat::{Message, MessageId, RoomId},
    store::{
        Page, StoreError,
        rows::{MessageRow, all},
    },
};

pub(super) async fn page(
    store: &SqliteStore,
    room: RoomId,
    page: Page,
) -> Result<Vec<Message>, StoreError> {
    const FIRST_ABOVE: &str = "
        SELECT id, room_id, sender_id, client_msg_id, client_msg_id_text, type, content, created_at
        FROM messages
        WHERE room_id = ? AND id > ? AND id < ?
        ORDER BY id
        LIMIT ?";
    const LAST_BELOW: &str = "
        SELECT id, room_id, sender_id, client_msg_id, client_msg_id_text, type, content, created_at
        FROM messages
        WHERE room_id = ? AND id > ? AND id < ?
        ORDER BY id DESC
        LIMIT ?";
    // The outermost UUIDs are no UUIDv7, so no message is lost to a missing cursor.
    let after = page.after.map_or(Uuid::nil(), |id| id.0);
    let before = page.before.map_or(Uuid::max(), |id| id.0);
    let is_backward = page.after.is_none();
    let mut rows: Vec<MessageRow<i64>> =
        sqlx::query_as(if is_backward { LAST_BELOW } else { FIRST_ABOVE })
            .bind(room.0)
            .bind(after)
            .bind(before)
            .bind(page.limit)
            .fetch_all(&store.read)
            .await?;
    if is_backward {
        rows.reverse();
    }
    all(rows)
}

pub(super) async fn exists(
    store: &SqliteStore,
    room: RoomId,
    id: MessageId,
) -> Result<bool, StoreError> {
    const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM messages WHERE room_id = ? AND id = ?)";
    Ok(sqlx::query_scalar(EXISTS).bind(room.0).bind(id.0).fetch_one(&store.read).await?)
}

pub(super) async fn newest_ids(
    store: &SqliteStore,
    rooms: &[RoomId],
) -> Result<HashMap<RoomId, MessageId>, StoreError> {
    const HEAD: &str = "WITH room (id) AS (VALUES ";
    const TAIL: &str = ")
        SELECT room.id, (SELECT max(m.id) FROM messages m WHERE m.room_id = room.id) FROM room";
    let mut newest = HashMap::with_capacity(rooms.len());
    for piece in pieces(rooms) {
        let mut query = sqlx::query_as(with_values(HEAD, piece.len(), 1, TAIL));
        for room in piece {
            query = query.bind(room.0);
        }
        let rows: Vec<(Uuid, Option<Uuid>)> = query.fetch_all(&store.read).await?;
        let ids = rows.into_iter().filter_map(|(room, id)| Some((RoomId(room), MessageId(id?))));
        newest.extend(ids);
    }
    Ok(newest)
}

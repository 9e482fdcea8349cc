//! The persistor's write: the position's compare-and-set and the messages, in one statement.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use chrono::{DateTime, Utc};
use sqlx::{FromRow as _, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::PostgresStore;
use crate::{
    chat::{Message, MessageId},
    store::{
        Batch, Persisted, StoreError,
        distinct::{Distinct, RetryKey, retry_key},
        rows::{MessageRow, whole_milliseconds},
    },
};

/// Gives no row when the position is another one; else a row with the ids of those that were inserted, and a
/// row for each that was there before.
///
/// The parts see the database as it was before the statement, so `inserted` and `existing` never overlap. A row
/// that another transaction commits meanwhile is in neither: it conflicts, but it is not visible yet.
const PERSIST: &str = "
    WITH moved_on AS (
        UPDATE positions SET next_offset = $4
        WHERE topic = $1 AND partition = $2 AND next_offset = $3
        RETURNING 1
    ), begun AS (
        INSERT INTO positions (topic, partition, next_offset)
        SELECT $1, $2, $4 WHERE $3::bigint IS NULL
        ON CONFLICT DO NOTHING
        RETURNING 1
    ), moved AS (
        SELECT FROM moved_on UNION ALL SELECT FROM begun
    ), entry AS (
        SELECT *
        FROM unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[], $9::text[], $10::text[],
            $11::text[], $12::timestamptz[])
        AS e (id, room_id, sender_id, client_msg_id, client_msg_id_text, type, content, created_at)
    ), inserted AS (
        INSERT INTO messages
            (id, room_id, sender_id, client_msg_id, client_msg_id_text, type, content, created_at)
        SELECT id, room_id, sender_id, client_msg_id, client_msg_id_text, type, content, created_at
        FROM entry
        WHERE EXISTS (SELECT FROM moved)
        ON CONFLICT (room_id, sender_id, client_msg_id) DO NOTHING
        RETURNING id
    ), existing AS (
        SELECT stored.*
        FROM entry
        CROSS JOIN LATERAL (
            SELECT m.id, m.room_id, m.sender_id, m.client_msg_id, m.client_msg_id_text, m.type,
                m.content, m.created_at
            FROM messages m
            WHERE m.room_id = entry.room_id AND m.sender_id = entry.sender_id
                AND m.client_msg_id = entry.client_msg_id
            LIMIT 1
        ) AS stored
    ), outcome AS (
        SELECT coalesce(array_agg(id), '{}') AS inserted, NULL::uuid AS id, NULL::uuid AS room_id,
            NULL::uuid AS sender_id, NULL::uuid AS client_msg_id, NULL::text AS client_msg_id_text,
            NULL::text AS type, NULL::text AS content, NULL::timestamptz AS created_at
        FROM inserted
        UNION ALL
        SELECT NULL, id, room_id, sender_id, client_msg_id, client_msg_id_text, type, content,
            created_at
        FROM existing
    )
    SELECT outcome.* FROM moved CROSS JOIN outcome";

const FIND: &str = "
    SELECT m.id, m.room_id, m.sender_id, m.client_msg_id, m.client_msg_id_text, m.type, m.content,
        m.created_at
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS key (room_id, sender_id, client_msg_id)
    JOIN messages m USING (room_id, sender_id, client_msg_id)";

type At = DateTime<Utc>;

pub(super) async fn position(
    store: &PostgresStore,
    topic: &str,
    partition: i32,
) -> Result<Option<i64>, StoreError> {
    const POSITION: &str = "SELECT next_offset FROM positions WHERE topic = $1 AND partition = $2";
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query_scalar(POSITION)
        .bind(topic)
        .bind(partition)
        .fetch_optional(connection.get())
        .await;
    connection.settle(outcome)
}

pub(super) async fn persist(
    store: &PostgresStore,
    batch: &Batch<'_>,
) -> Result<Persisted, StoreError> {
    let distinct = Distinct::of(batch.messages);
    let Some((inserted, mut found)) = write(store, batch, distinct.firsts()).await? else {
        return Ok(Persisted::PositionMoved);
    };
    let unaccounted = distinct.unaccounted(&inserted, &found);
    if !unaccounted.is_empty() {
        found.extend(find(store, &unaccounted).await?);
    }
    // Nothing deletes messages. Should somebody have done so by hand in this very moment: the caller tries
    // again, sees that the position has moved, and stores them as a redelivery.
    let missing =
        || StoreError::Unavailable(io::Error::other("a message that conflicted is gone").into());
    distinct.resolve(&inserted, &found).map(Persisted::Stored).ok_or_else(missing)
}

type Outcome = (HashSet<MessageId>, HashMap<RetryKey, Message>);

/// `None`: the position is another one, nothing was stored.
async fn write(
    store: &PostgresStore,
    batch: &Batch<'_>,
    messages: &[&Message],
) -> Result<Option<Outcome>, StoreError> {
    let uuids = |of: fn(&Message) -> Uuid| messages.iter().map(|m| of(m)).collect::<Vec<_>>();
    let texts = |of: fn(&Message) -> &str| messages.iter().map(|m| of(m)).collect::<Vec<_>>();
    let times: Vec<At> = messages.iter().map(|m| whole_milliseconds(m.created_at)).collect();
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query(PERSIST)
        .bind(batch.topic)
        .bind(batch.partition)
        .bind(batch.expected)
        .bind(batch.next)
        .bind(uuids(|m| m.id.0))
        .bind(uuids(|m| m.room_id.0))
        .bind(uuids(|m| m.sender_id.0))
        .bind(uuids(|m| m.client_msg_id.value()))
        .bind(texts(|m| m.client_msg_id.as_str()))
        .bind(texts(|m| m.kind.as_str()))
        .bind(texts(|m| m.content.as_str()))
        .bind(times)
        .fetch_all(connection.get())
        .await;
    let rows = connection.settle(outcome)?;
    if rows.is_empty() {
        return Ok(None);
    }
    read_outcome(&rows).map(Some)
}

fn read_outcome(rows: &[PgRow]) -> Result<Outcome, StoreError> {
    let mut inserted = HashSet::new();
    let mut found = HashMap::new();
    for row in rows {
        if let Some(ids) = row.try_get::<Option<Vec<Uuid>>, _>("inserted")? {
            inserted.extend(ids.into_iter().map(MessageId));
        } else {
            let message = Message::try_from(MessageRow::<At>::from_row(row)?)?;
            found.insert(retry_key(&message), message);
        }
    }
    Ok((inserted, found))
}

/// Reads those that somebody else committed while our statement ran.
async fn find(
    store: &PostgresStore,
    messages: &[&Message],
) -> Result<HashMap<RetryKey, Message>, StoreError> {
    let uuids = |of: fn(&Message) -> Uuid| messages.iter().map(|m| of(m)).collect::<Vec<_>>();
    let mut connection = store.acquire().await?;
    let outcome = sqlx::query_as(FIND)
        .bind(uuids(|m| m.room_id.0))
        .bind(uuids(|m| m.sender_id.0))
        .bind(uuids(|m| m.client_msg_id.value()))
        .fetch_all(connection.get())
        .await;
    let rows: Vec<MessageRow<At>> = connection.settle(outcome)?;
    rows.into_iter()
        .map(|row| Message::try_from(row).map(|message| (retry_key(&message), message)))
        .collect()
}

//! The persistor's write: the position's compare-and-set and the messages, in one transaction.
//!
//! The transaction is the only writer, so what it reads cannot change before it writes: it looks for rows of
//! retries first and inserts the others.

use std::collections::{HashMap, HashSet};

use sqlx::{Sqlite, Transaction};

use super::{SqliteStore, pieces, with_values};
use crate::{
    chat::{Message, MessageId},
    store::{
        Batch, Persisted, StoreError,
        distinct::{Distinct, RetryKey, retry_key},
        rows::{MessageRow, whole_milliseconds},
    },
};

/// Columns of the unique key.
const KEY_COLUMNS: usize = 3;
/// Columns of a message.
const MESSAGE_COLUMNS: usize = 8;

pub(super) async fn position(
    store: &SqliteStore,
    topic: &str,
    partition: i32,
) -> Result<Option<i64>, StoreError> {
    const POSITION: &str = "SELECT next_offset FROM positions WHERE topic = ? AND partition = ?";
    Ok(sqlx::query_scalar(POSITION).bind(topic).bind(partition).fetch_optional(&store.read).await?)
}

pub(super) async fn persist(
    store: &SqliteStore,
    batch: &Batch<'_>,
) -> Result<Persisted, StoreError> {
    let distinct = Distinct::of(batch.messages);
    let mut transaction = store.begin().await?;
    if !move_position(&mut transaction, batch).await? {
        return Ok(Persisted::PositionMoved);
    }
    let found = find(&mut transaction, distinct.firsts()).await?;
    let new = distinct.unaccounted(&HashSet::new(), &found);
    insert(&mut transaction, &new).await?;
    transaction.commit().await?;
    let inserted: HashSet<MessageId> = new.iter().map(|message| message.id).collect();
    let stored = distinct
        .resolve(&inserted, &found)
        .expect("every distinct message was either found or inserted");
    Ok(Persisted::Stored(stored))
}

async fn move_position(
    transaction: &mut Transaction<'static, Sqlite>,
    batch: &Batch<'_>,
) -> Result<bool, StoreError> {
    const MOVE: &str = "
        UPDATE positions SET next_offset = ?
        WHERE topic = ? AND partition = ? AND next_offset = ?";
    const BEGIN: &str = "
        INSERT INTO positions (next_offset, topic, partition) VALUES (?, ?, ?)
        ON CONFLICT (topic, partition) DO NOTHING";
    let query = sqlx::query(if batch.expected.is_some() { MOVE } else { BEGIN })
        .bind(batch.next)
        .bind(batch.topic)
        .bind(batch.partition);
    let query = match batch.expected {
        Some(expected) => query.bind(expected),
        None => query,
    };
    Ok(query.execute(&mut **transaction).await?.rows_affected() == 1)
}

async fn find(
    transaction: &mut Transaction<'static, Sqlite>,
    messages: &[&Message],
) -> Result<HashMap<RetryKey, Message>, StoreError> {
    const HEAD: &str = "WITH key (room_id, sender_id, client_msg_id) AS (VALUES ";
    // CROSS JOIN keeps the order: each key is looked up in the index, whatever statistics say.
    const TAIL: &str = ")
        SELECT m.id, m.room_id, m.sender_id, m.client_msg_id, m.client_msg_id_text, m.type,
            m.content, m.created_at
        FROM key CROSS JOIN messages m ON m.room_id = key.room_id
            AND m.sender_id = key.sender_id AND m.client_msg_id = key.client_msg_id";
    let mut found = HashMap::new();
    for piece in pieces(messages) {
        let mut query = sqlx::query_as(with_values(HEAD, piece.len(), KEY_COLUMNS, TAIL));
        for message in piece {
            query = query
                .bind(message.room_id.0)
                .bind(message.sender_id.0)
                .bind(message.client_msg_id.value());
        }
        let rows: Vec<MessageRow<i64>> = query.fetch_all(&mut **transaction).await?;
        for row in rows {
            let message = Message::try_from(row)?;
            found.insert(retry_key(&message), message);
        }
    }
    Ok(found)
}

async fn insert(
    transaction: &mut Transaction<'static, Sqlite>,
    messages: &[&Message],
) -> Result<(), StoreError> {
    const HEAD: &str = "
        INSERT INTO messages
            (id, room_id, sender_id, client_msg_id, client_msg_id_text, type, content, created_at)
        VALUES ";
    for piece in pieces(messages) {
        let mut query = sqlx::query(with_values(HEAD, piece.len(), MESSAGE_COLUMNS, ""));
        for message in piece {
            query = query
                .bind(message.id.0)
                .bind(message.room_id.0)
                .bind(message.sender_id.0)
                .bind(message.client_msg_id.value())
                .bind(message.client_msg_id.as_str())
                .bind(message.kind.as_str())
                .bind(message.content.as_str())
                .bind(whole_milliseconds(message.created_at).timestamp_millis());
        }
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

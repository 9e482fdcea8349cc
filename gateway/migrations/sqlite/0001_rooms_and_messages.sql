-- Ids are 16 bytes (their order is the order of the ids), times are milliseconds since 1970.

CREATE TABLE rooms (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE room_members (
    room_id BLOB NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id BLOB NOT NULL,
    joined_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX room_members_user_id ON room_members (user_id);

-- No foreign key to `rooms`: what was accepted must be storable for ever, also in an older file that was
-- restored and does not know the room.
CREATE TABLE messages (
    id BLOB NOT NULL PRIMARY KEY,
    room_id BLOB NOT NULL,
    sender_id BLOB NOT NULL,
    client_msg_id BLOB NOT NULL,
    -- As the client first spelled it: retries are recognised by value and answered with this.
    client_msg_id_text TEXT NOT NULL,
    type TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (room_id, sender_id, client_msg_id)
) STRICT;

CREATE INDEX messages_room_id_id ON messages (room_id, id);

-- The next offset to be stored of each partition: moved by compare-and-set, together with the messages.
CREATE TABLE positions (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- Membership changes that are committed and not known to be published. AUTOINCREMENT: an id is never used
-- twice, so a late removal cannot hit another entry.
CREATE TABLE membership_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    change TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;

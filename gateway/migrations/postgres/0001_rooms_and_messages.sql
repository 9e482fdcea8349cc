-- Another encoding would refuse emoji, and each such message would end in the dead letters.
DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the encoding of the database is `%`, it must be `UTF8`',
            current_setting('server_encoding');
    END IF;
END
$$;

CREATE TABLE rooms (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE room_members (
    room_id uuid NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id uuid NOT NULL,
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (room_id, user_id)
);

CREATE INDEX room_members_user_id ON room_members (user_id);

-- No foreign key to `rooms`: what was accepted must be storable for ever, also in an older database that was
-- restored and does not know the room.
CREATE TABLE messages (
    id uuid PRIMARY KEY,
    room_id uuid NOT NULL,
    sender_id uuid NOT NULL,
    client_msg_id uuid NOT NULL,
    -- As the client first spelled it: retries are recognised by value and answered with this.
    client_msg_id_text text NOT NULL,
    type text NOT NULL,
    content text NOT NULL,
    -- In whole milliseconds.
    created_at timestamptz NOT NULL,
    UNIQUE (room_id, sender_id, client_msg_id)
);

CREATE INDEX messages_room_id_id ON messages (room_id, id);

-- The next offset to be stored of each partition: moved by compare-and-set, together with the messages.
CREATE TABLE positions (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- Membership changes that are committed and not known to be published.
CREATE TABLE membership_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room_id uuid NOT NULL,
    user_id uuid NOT NULL,
    change text NOT NULL,
    at timestamptz NOT NULL
);

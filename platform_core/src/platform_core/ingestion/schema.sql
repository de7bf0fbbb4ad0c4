-- Tables of the ingestion plane. Idempotent; applied by the platform before any sync.

-- One row per sync, kept as history.
CREATE TABLE IF NOT EXISTS mesh.syncs (
    sync_id     text PRIMARY KEY,
    domain      text NOT NULL,
    connection  text NOT NULL,
    connector   text NOT NULL,
    status      text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'cancelled', 'killed')),
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    streams     jsonb NOT NULL DEFAULT '{}',  -- {stream: {rows, bytes, cursor, committed}}, what is committed so far
    raw_object  text,                         -- URL of the immutable raw copy
    error       text
);
CREATE INDEX IF NOT EXISTS syncs_by_connection ON mesh.syncs (domain, connection, started_at DESC);

-- The connector's own state, verbatim (json, not jsonb: order and spelling are kept), always written with the rows that it covers.
CREATE TABLE IF NOT EXISTS mesh.sync_state (
    domain     text NOT NULL,
    connection text NOT NULL,
    namespace  text NOT NULL DEFAULT '',
    stream     text NOT NULL DEFAULT '',      -- empty for a GLOBAL or LEGACY state
    kind       text NOT NULL CHECK (kind IN ('STREAM', 'GLOBAL', 'LEGACY')),
    state      json NOT NULL,
    sync_id    text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (domain, connection, namespace, stream)
);

-- Which connection owns a raw table, and its current generation (_airbyte_generation_id).
CREATE TABLE IF NOT EXISTS mesh.raw_streams (
    domain        text NOT NULL,
    stream        text NOT NULL,
    connection    text NOT NULL,
    generation_id bigint NOT NULL,
    sync_id       text NOT NULL,
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (domain, stream)
);
-- Configuration that a connector changed itself (rotated tokens), see kept_config.py.
CREATE TABLE IF NOT EXISTS mesh.connector_config (
    domain     text NOT NULL,
    connection text NOT NULL,
    salt       bytea NOT NULL,
    declared   bytea NOT NULL,                -- scrypt of the declared configuration, with the salt
    config     json NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (domain, connection)
);
COMMENT ON TABLE mesh.connector_config IS 'private: holds secrets, a domain reads its own rows only';

ALTER TABLE mesh.raw_streams ADD COLUMN IF NOT EXISTS shape json;  -- fields with types, and the key, of the last committed sync

-- Which content each dropped file has had (one row a file and content), and which of it is in the raw table.
CREATE TABLE IF NOT EXISTS mesh.dropped_files (
    domain       text NOT NULL,
    drop_name    text NOT NULL,
    path         text NOT NULL,               -- below the drop's location
    content_hash text NOT NULL,               -- SHA-256
    fingerprint  text NOT NULL,               -- size and time, or the store's ETag: what a listing shows
    bytes        bigint NOT NULL,
    status       text NOT NULL CHECK (status IN ('loaded', 'replaced', 'quarantined', 'lost')),  -- lost: with the dropped table
    is_current   boolean NOT NULL,            -- the file holds this content now
    sync_id      text,                        -- the load that brought the rows; files of the same content share it
    loaded_as    text NOT NULL,               -- the file's name in that load, the value of the column _file
    row_count    bigint NOT NULL,
    error        text,                        -- why it was put into quarantine
    declaration  text NOT NULL,               -- hash of the drop's declaration then
    noted_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (domain, drop_name, path, content_hash)
);
ALTER TABLE mesh.dropped_files DROP CONSTRAINT IF EXISTS dropped_files_status_check;
ALTER TABLE mesh.dropped_files ADD CONSTRAINT dropped_files_status_check CHECK (status IN ('loaded', 'replaced', 'quarantined', 'lost'));
CREATE INDEX IF NOT EXISTS dropped_files_by_content ON mesh.dropped_files (domain, drop_name, content_hash);
CREATE UNIQUE INDEX IF NOT EXISTS dropped_files_current ON mesh.dropped_files (domain, drop_name, path) WHERE is_current;

-- What was last sent to an Airbyte server, by workspace and name: the server hides secrets, so their change shows by the keyed hash only.
CREATE TABLE IF NOT EXISTS mesh.server_objects (
    workspace  text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('definition', 'source', 'destination', 'connection')),
    name       text NOT NULL,
    domain     text NOT NULL,                 -- empty for a low-code connector, which all domains may use
    object_id  text NOT NULL,
    digest     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (workspace, kind, name)
);

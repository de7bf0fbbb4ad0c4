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
    streams     jsonb NOT NULL DEFAULT '{}',  -- {stream: {rows, bytes, cursor}}, what is committed so far
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
ALTER TABLE mesh.raw_streams ADD COLUMN IF NOT EXISTS shape json;  -- fields with types, and the key, of the last committed sync

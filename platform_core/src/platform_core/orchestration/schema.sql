CREATE TABLE IF NOT EXISTS mesh.alerts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain text NOT NULL,
    title text NOT NULL,
    detail text NOT NULL,
    run_id text,
    state text NOT NULL,               -- stored (no webhook), sent, not sent
    failure text,
    raised_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

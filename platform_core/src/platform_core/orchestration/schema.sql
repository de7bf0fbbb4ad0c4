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

-- Runs asked for by the command line, for whichever Dagster serves the domain: taken by the domain's own sensor.
CREATE TABLE IF NOT EXISTS mesh.run_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain text NOT NULL,
    assets text[] NOT NULL,            -- asset keys, parts joined by '/'
    reason text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    taken_at timestamptz
);

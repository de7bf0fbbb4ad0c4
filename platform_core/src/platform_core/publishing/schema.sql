-- Every candidate that was ever sealed for a port, and what became of it.
CREATE TABLE IF NOT EXISTS mesh.publications (
    publication text NOT NULL,
    domain text NOT NULL,
    product_id text NOT NULL,
    contract_id text NOT NULL,
    contract_version text NOT NULL,
    code_version text NOT NULL,
    state text NOT NULL CHECK (state IN ('sealed', 'published', 'rejected')),
    tables jsonb NOT NULL,              -- {"<table>": {"version": "<relation in the data schema>", "rows": n}}
    checks_passed integer NOT NULL DEFAULT 0,
    checks_failed integer NOT NULL DEFAULT 0,
    run_id text,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_at timestamptz,
    PRIMARY KEY (contract_id, publication)
);

-- Which publication each port serves now.
CREATE TABLE IF NOT EXISTS mesh.ports (
    contract_id text PRIMARY KEY,
    domain text NOT NULL,
    publication text NOT NULL,
    served_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (contract_id, publication) REFERENCES mesh.publications
);

-- The result of every rule at every audit.
CREATE TABLE IF NOT EXISTS mesh.check_results (
    contract_id text NOT NULL,
    publication text NOT NULL,
    rule text NOT NULL,
    domain text NOT NULL,
    table_name text NOT NULL,
    column_name text,
    severity text NOT NULL,
    passed boolean NOT NULL,
    observed text NOT NULL,
    sample_query text,
    location text NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (contract_id, publication, rule),
    FOREIGN KEY (contract_id, publication) REFERENCES mesh.publications ON DELETE CASCADE
);

-- What a port view answers to a transaction whose snapshot is older than the publication that the view shows.
CREATE OR REPLACE FUNCTION mesh.published_later() RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
    RAISE EXCEPTION 'the port was published after this transaction took its snapshot'
        USING ERRCODE = 'serialization_failure', HINT = 'Begin the transaction again.';
END
$$;

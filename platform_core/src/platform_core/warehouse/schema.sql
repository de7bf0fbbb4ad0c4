-- The platform's own tables live here; every one carries the domain it speaks of, and row security keeps domains apart.
CREATE SCHEMA IF NOT EXISTS mesh;

-- The body is parsed here and now: an operator of the caller's own, put before Postgres' by a search path, is never asked.
CREATE OR REPLACE FUNCTION mesh.may_write(domain text) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (
    SELECT FROM pg_catalog.pg_roles AS r
    WHERE r.rolname OPERATOR(pg_catalog.=) ($1 OPERATOR(pg_catalog.||) '_owner')
      AND pg_catalog.pg_has_role(current_user, r.oid, 'USAGE')
);

-- What the files declared when they were applied last: a plan tells a removal from something made by hand.
CREATE TABLE IF NOT EXISTS mesh.declared (
    domain text NOT NULL,               -- empty for the platform's own
    product_id text NOT NULL,           -- empty for what belongs to the domain as a whole
    item text PRIMARY KEY               -- a JSON array, see warehouse/declared.py
);
COMMENT ON TABLE mesh.declared IS 'platform: no domain reads or writes it';

-- Whether a schema was applied for a product of a domain: its name alone does not tell whose it is.
CREATE OR REPLACE FUNCTION mesh.schema_applied(domain text, product_id text, schema text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM mesh.declared AS d
        WHERE d.item = '["schema", "' || schema_applied.schema || '"]'
          AND d.domain = schema_applied.domain AND d.product_id = schema_applied.product_id);
END;

-- Who could read which port, as it was found in force: a row when an access begins, changes or ends. Rows are only ever added.
CREATE TABLE IF NOT EXISTS mesh.access_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain text NOT NULL,               -- that owns the port
    contract_id text NOT NULL,
    principal text NOT NULL,            -- domain:<domain>, role:<Postgres role>, everybody
    event text NOT NULL CHECK (event IN ('began', 'changed', 'ended')),
    clear text[] NOT NULL,              -- <table>.<column> that are read as they are from now on
    masked text[] NOT NULL,             -- the same, of which only the mask is seen
    ground text NOT NULL,               -- what allows it, a line each
    at timestamptz NOT NULL             -- when it was found so
);
CREATE INDEX IF NOT EXISTS access_events_latest ON mesh.access_events (contract_id, principal, id DESC);
COMMENT ON TABLE mesh.access_events IS 'platform: written by apply and by the expiry of access, read by mesh access audit';

CREATE OR REPLACE FUNCTION mesh.only_added() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'mesh.% is a record: rows are only ever added', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE OR REPLACE TRIGGER only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON mesh.access_events
FOR EACH STATEMENT EXECUTE FUNCTION mesh.only_added();

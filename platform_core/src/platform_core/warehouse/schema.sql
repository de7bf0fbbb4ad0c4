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

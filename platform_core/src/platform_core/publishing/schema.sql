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

-- Masks and row filters ------------------------------------------------------------------------------------------------------------

-- The key of hashed columns (as the two padded blocks of RFC 2104) in the row of the platform, '', copied to the row of every domain
-- that publishes hashes. A domain reads its own pass, with which its views ask for hashes, and nothing else: see keyed_hash.
CREATE TABLE IF NOT EXISTS mesh.mask_keys (
    domain text PRIMARY KEY,
    pass bytea NOT NULL UNIQUE,
    inner_pad bytea NOT NULL,
    outer_pad bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE mesh.mask_keys ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON mesh.mask_keys FROM PUBLIC;
COMMENT ON TABLE mesh.mask_keys IS 'private: holds a secret; a domain reads its own pass only';

-- HMAC-SHA-256 of a text, for who has a pass; NULL for who has none. The pass stands in no text: a port's view reads it with the rights
-- of its owner, so that a reader of the port can neither read it nor ask for the hash of a guess. The body is bound when it is made,
-- so no search_path has a say in it.
CREATE OR REPLACE FUNCTION mesh.keyed_hash(value text, pass bytea) RETURNS bytea
LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER COST 100
BEGIN ATOMIC
    SELECT sha256(k.outer_pad || sha256(k.inner_pad || convert_to(keyed_hash.value, 'UTF8')))
    FROM mesh.mask_keys AS k WHERE k.pass = keyed_hash.pass;
END;

CREATE OR REPLACE FUNCTION mesh.no_mask_pass(domain text) RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
    RAISE EXCEPTION 'the domain % has no pass for hashed columns', domain
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run ./mesh apply: the attribute policy or a contract has changed.';
END
$$;

-- Makes a secret the key, for all domains at once; says whether it was another one before. For the platform's role only.
CREATE OR REPLACE FUNCTION mesh.set_mask_key(secret bytea) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    padded bytea := CASE WHEN length(secret) > 64 THEN sha256(secret) ELSE secret END;
    inner_block bytea;
    outer_block bytea;
BEGIN
    IF length(secret) < 16 THEN
        RAISE EXCEPTION 'the key has % bytes, and needs 16', length(secret) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    padded := padded || decode(repeat('00', 64 - length(padded)), 'hex');
    inner_block := padded;
    outer_block := padded;
    FOR at IN 0..63 LOOP
        inner_block := set_byte(inner_block, at, get_byte(padded, at) # 54);
        outer_block := set_byte(outer_block, at, get_byte(padded, at) # 92);
    END LOOP;
    PERFORM FROM mesh.mask_keys AS k WHERE k.domain = '' AND k.inner_pad = inner_block;
    IF FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO mesh.mask_keys (domain, pass, inner_pad, outer_pad)
    VALUES ('', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), inner_block, outer_block)
    ON CONFLICT (domain) DO NOTHING;
    UPDATE mesh.mask_keys SET inner_pad = inner_block, outer_pad = outer_block, made_at = clock_timestamp();
    RETURN true;
END
$$;

-- A new random key: from now on every hash is another one, in all ports at once.
CREATE OR REPLACE FUNCTION mesh.rotate_mask_key() RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ SELECT mesh.set_mask_key(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))) $$;

-- Lets a domain's views ask for hashes, and takes that back.
CREATE OR REPLACE FUNCTION mesh.give_mask_pass(named text, owner text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO mesh.mask_keys (domain, pass, inner_pad, outer_pad)
    SELECT named, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), k.inner_pad, k.outer_pad
    FROM mesh.mask_keys AS k WHERE k.domain = ''
    ON CONFLICT (domain) DO NOTHING;
    EXECUTE format('GRANT SELECT (domain, pass) ON mesh.mask_keys TO %I', owner);
    EXECUTE format('DROP POLICY IF EXISTS %I ON mesh.mask_keys', owner);
    EXECUTE format('CREATE POLICY %I ON mesh.mask_keys FOR SELECT TO %I USING (domain = %L)', owner, owner, named);
END
$$;

CREATE OR REPLACE FUNCTION mesh.take_mask_pass(named text, owner text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('DROP POLICY IF EXISTS %I ON mesh.mask_keys', owner);
    EXECUTE format('REVOKE ALL (domain, pass) ON mesh.mask_keys FROM %I', owner);
    DELETE FROM mesh.mask_keys WHERE domain = named AND named <> '';
END
$$;
REVOKE ALL ON FUNCTION mesh.set_mask_key(bytea), mesh.rotate_mask_key(), mesh.give_mask_pass(text, text), mesh.take_mask_pass(text, text)
    FROM PUBLIC;

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM mesh.mask_keys WHERE domain = '') THEN
        PERFORM mesh.rotate_mask_key();
    END IF;
END $$;

-- Attributes of readers, for row filters. Those of the platform (domain '', from domains/masking.yaml) hold at every port, those that
-- a domain gives at its own ports only. The value '*' stands for every value.
CREATE TABLE IF NOT EXISTS mesh.reader_attributes (
    domain text NOT NULL,
    role text NOT NULL,
    attribute text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (domain, role, attribute, value)
);

-- What was declared of each port view when it was made, and a hash of what Postgres made of it: tells a changed file from a changed view.
CREATE TABLE IF NOT EXISTS mesh.port_views (
    contract_id text NOT NULL,
    table_name text NOT NULL,
    domain text NOT NULL,
    declared text NOT NULL,
    made text NOT NULL,
    columns json NOT NULL,                 -- [[name, mask or null], ...] in the view's order
    PRIMARY KEY (contract_id, table_name)
);

-- Keeps what a port serves as it is until the end of the transaction; an error when it serves something else by now.
CREATE OR REPLACE FUNCTION mesh.hold_port(port text, served text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM mesh.ports AS p WHERE p.contract_id = port AND p.publication = served FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the port % was switched meanwhile', port
            USING ERRCODE = 'serialization_failure', HINT = 'Run ./mesh apply again.';
    END IF;
END
$$;

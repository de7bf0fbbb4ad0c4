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

-- The records are kept as they were written: a domain decides a candidate once, and takes nothing back.
CREATE OR REPLACE FUNCTION mesh.keep_record() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'publications' THEN
        IF OLD.state = 'sealed' AND (NEW.contract_id, NEW.publication, NEW.domain, NEW.sealed_at)
                                  = (OLD.contract_id, OLD.publication, OLD.domain, OLD.sealed_at) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'what is on record in mesh.% stays as it is', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE OR REPLACE TRIGGER keep_record BEFORE UPDATE OR DELETE ON mesh.publications FOR EACH ROW EXECUTE FUNCTION mesh.keep_record();

-- Every change of what a port serves, in order: publications, rollbacks, and its retirement (to_publication is NULL).
CREATE TABLE IF NOT EXISTS mesh.switches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain text NOT NULL,
    contract_id text NOT NULL,
    action text NOT NULL CHECK (action IN ('publication', 'rollback', 'retirement')),
    from_publication text,
    to_publication text,
    actor text NOT NULL,
    reason text,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS switches_of_port ON mesh.switches (contract_id, id DESC);
CREATE OR REPLACE TRIGGER keep_record BEFORE UPDATE OR DELETE ON mesh.switches FOR EACH ROW EXECUTE FUNCTION mesh.keep_record();

-- Publications that retention leaves alone until they are unpinned.
CREATE TABLE IF NOT EXISTS mesh.pins (
    contract_id text NOT NULL,
    publication text NOT NULL,
    domain text NOT NULL,
    actor text NOT NULL,
    reason text,
    pinned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (contract_id, publication),
    FOREIGN KEY (contract_id, publication) REFERENCES mesh.publications
);

-- What the contract asks to keep, as of its latest publication.
CREATE TABLE IF NOT EXISTS mesh.retention_rules (
    contract_id text PRIMARY KEY,
    domain text NOT NULL,
    publications integer NOT NULL CHECK (publications >= 1),
    days integer CHECK (days >= 0)
);

-- A record speaks of a port of the domain that writes it: row security compares the column domain alone.
DO $$
DECLARE
    named text;
BEGIN
    FOREACH named IN ARRAY ARRAY['publications', 'ports', 'check_results', 'switches', 'pins', 'retention_rules'] LOOP
        IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = format('mesh.%I', named)::regclass AND conname = named || '_of_domain') THEN
            EXECUTE format('ALTER TABLE mesh.%I ADD CONSTRAINT %I CHECK (split_part(contract_id, ''.'', 1) = domain)', named, named || '_of_domain');
        END IF;
    END LOOP;
END
$$;

-- Schema of a port's versions; contracts/naming.data_schema says the same.
CREATE OR REPLACE FUNCTION mesh.data_schema(port text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$ SELECT split_part(port, '.', 1) || '_' || split_part(port, '.', 2) || '_data' $$;

-- What of a table would let its domain act after it has become a version, or act as whoever reads it; NULL when it holds rows and no more.
-- Postgres evaluates expressions of policies, rules, indexes, checks and statistics while others read or autovacuum looks, a child
-- table's rows are shown with its parent's, and what a foreign key does to rows it does as their owner. Defaults and triggers only
-- act when rows are written, which nobody does to a version.
CREATE OR REPLACE FUNCTION mesh.more_than_rows(version oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE part (classid, objid) AS (
        SELECT 'pg_class'::regclass::oid, version
        UNION
        SELECT d.classid, d.objid FROM pg_depend AS d JOIN part ON d.refclassid = part.classid AND d.refobjid = part.objid
        WHERE d.deptype IN ('a', 'i') AND d.classid <> 'pg_trigger'::regclass
          AND NOT EXISTS (SELECT FROM pg_attrdef AS f JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
                          WHERE d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid AND a.attgenerated <> 'v')
    )
    SELECT reason FROM (
        SELECT 'row security' AS reason FROM pg_class AS c WHERE c.oid = version AND (c.relrowsecurity OR c.relforcerowsecurity)
        UNION ALL
        SELECT 'the policy ' || p.polname FROM pg_policy AS p WHERE p.polrelid = version
        UNION ALL
        SELECT 'the rule ' || w.rulename FROM pg_rewrite AS w WHERE w.ev_class = version
        UNION ALL
        SELECT 'inheritance or partitions' FROM pg_inherits AS i WHERE version IN (i.inhrelid, i.inhparent)
        UNION ALL
        SELECT 'the foreign key ' || k.conname || ', which changes rows' FROM pg_constraint AS k
        WHERE k.conrelid = version AND k.contype = 'f' AND (k.confdeltype NOT IN ('a', 'r') OR k.confupdtype NOT IN ('a', 'r'))
        UNION ALL
        SELECT 'what calls ' || pg_describe_object(d.refclassid, d.refobjid, 0)
        FROM part JOIN pg_depend AS d ON d.classid = part.classid AND d.objid = part.objid
        WHERE d.refobjid >= 16384
          AND (d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_cast'::regclass)
               OR d.refclassid = 'pg_type'::regclass AND part.objid <> version AND EXISTS (
                   SELECT FROM pg_type AS t WHERE t.oid = d.refobjid AND t.typtype IN ('d', 'c', 'r', 'm') AND t.typrelid <> version))
          AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e')
    ) AS found ORDER BY 1 LIMIT 1
$$;

-- Makes sealed tables versions: they pass from the domain to the keeper, and the domain may from then on only read them. Rights that
-- the domain had given end. Whoever calls this, nothing happens but that: so it asks for no right of its own.
CREATE OR REPLACE FUNCTION mesh.keep_versions(port text, versions text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held record;
    given record;
    reason text;
BEGIN
    FOR held IN
        SELECT c.oid, n.nspname, c.relname, o.rolname AS owner
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_roles AS k ON k.oid = n.nspowner
        JOIN pg_roles AS o ON o.oid = c.relowner
        WHERE n.nspname = mesh.data_schema(port) AND k.rolname = 'mesh_keeper' AND c.relname = ANY(versions)
          AND c.relkind = 'r' AND c.relowner <> n.nspowner
    LOOP
        EXECUTE format('ALTER TABLE %I.%I OWNER TO mesh_keeper', held.nspname, held.relname);  -- from here on nobody adds anything
        reason := mesh.more_than_rows(held.oid);
        IF reason IS NOT NULL THEN
            RAISE EXCEPTION '%.% cannot become a version: it has %', held.nspname, held.relname, reason
                USING ERRCODE = 'invalid_object_definition', HINT = 'Build the table without it: what is published holds rows and nothing that acts.';
        END IF;
        FOR given IN
            SELECT DISTINCT r.rolname FROM (
                SELECT c.relacl AS acl FROM pg_class AS c WHERE c.oid = held.oid
                UNION ALL SELECT a.attacl FROM pg_attribute AS a WHERE a.attrelid = held.oid AND NOT a.attisdropped
            ) AS of CROSS JOIN LATERAL aclexplode(of.acl) AS g LEFT JOIN pg_roles AS r ON r.oid = g.grantee
            WHERE r.rolname IS DISTINCT FROM 'mesh_keeper'
        LOOP
            EXECUTE format('REVOKE ALL ON %I.%I FROM %s CASCADE', held.nspname, held.relname, coalesce(quote_ident(given.rolname), 'PUBLIC'));
        END LOOP;
        EXECUTE format('GRANT SELECT ON %I.%I TO %I', held.nspname, held.relname, held.owner);
    END LOOP;
END
$$;

-- Drops the versions that the port's retention rule lets go: the only way in which a version ends. It takes no wish but the record's:
-- so, again, whoever calls it. Kept are the newest publications (those that show the same versions count once), those of the last
-- days, what is served or pinned, and what a build view or a foreign key still stands on. Thirty days after a port's retirement
-- (or the rule's days) only what is pinned stays. A schema that was applied for another product is not looked into, whatever the
-- records say: sales may record publications of sales.eu_orders, but the versions in sales_eu_orders_data are those of sales_eu.
CREATE OR REPLACE FUNCTION mesh.prune_versions(port text) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
DECLARE
    data text := mesh.data_schema(port);
    version text;
BEGIN
    IF NOT mesh.schema_applied(split_part(port, '.', 1), split_part(port, '.', 1) || '.' || split_part(port, '.', 2), data) THEN
        RETURN;
    END IF;
    FOR version IN
        SELECT found.relation FROM mesh.superfluous_versions(port) AS found (relation)
    LOOP
        EXECUTE format('DROP TABLE %I.%I', data, version);
        RETURN NEXT version;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION mesh.superfluous_versions(port text) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH rule AS (
        SELECT coalesce(max(r.publications), 5) AS publications, max(r.days) AS days FROM mesh.retention_rules AS r WHERE r.contract_id = port
    ), ended AS (
        SELECT coalesce((
            SELECT s.to_publication IS NULL AND s.happened_at < now() - make_interval(days => coalesce(rule.days, 30))
            FROM mesh.switches AS s WHERE s.contract_id = port ORDER BY s.id DESC LIMIT 1), false) AS over
        FROM rule
    ), shown AS (
        SELECT p.publication, p.state = 'published' AS published, p.decided_at, v.versions
        FROM mesh.publications AS p
        CROSS JOIN LATERAL (SELECT array_agg(t.value ->> 'version' ORDER BY t.key) AS versions FROM jsonb_each(p.tables) AS t) AS v
        WHERE p.contract_id = port
    ), latest AS (
        SELECT *, max(publication) OVER (PARTITION BY published, versions) AS last_shown FROM shown
    ), aged AS (
        SELECT *, dense_rank() OVER (PARTITION BY published ORDER BY last_shown DESC) AS age FROM latest
    ), kept AS (
        SELECT unnest(aged.versions) AS version FROM aged, rule, ended
        WHERE NOT ended.over
          AND (aged.age <= rule.publications OR aged.published AND aged.decided_at > now() - make_interval(days => rule.days))
        UNION ALL
        SELECT unnest(aged.versions) FROM aged
        WHERE EXISTS (SELECT FROM mesh.ports AS s WHERE s.contract_id = port AND s.publication = aged.publication)
           OR EXISTS (SELECT FROM mesh.pins AS s WHERE s.contract_id = port AND s.publication = aged.publication)
    ), known AS (
        SELECT DISTINCT unnest(versions) AS version FROM shown
    )
    SELECT known.version FROM known
    JOIN pg_class AS c ON c.relname = known.version
    JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = mesh.data_schema(port)
    WHERE NOT EXISTS (SELECT FROM kept WHERE kept.version = known.version)
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.refobjid = c.oid AND d.classid = 'pg_rewrite'::regclass)
      AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.confrelid = c.oid AND k.conrelid <> c.oid)
      AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid)  -- a candidate that was refused for it
    ORDER BY 1
$$;

-- Masks and row filters ------------------------------------------------------------------------------------------------------------

-- The key of hashed columns, as the two padded blocks of RFC 2104, and the pass with which a view may ask for hashes: one row.
CREATE TABLE IF NOT EXISTS mesh.mask_keys (
    domain text PRIMARY KEY CHECK (domain = ''),
    pass bytea NOT NULL,
    inner_pad bytea NOT NULL,
    outer_pad bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE mesh.mask_keys IS 'platform: holds a secret; no domain reads or writes it';

-- What the keeper may read, and nobody else (see warehouse/declared.py): its views ask for hashes with it.
CREATE OR REPLACE VIEW mesh.mask_pass AS SELECT k.pass FROM mesh.mask_keys AS k;

-- HMAC-SHA-256 of a text, for who has the pass; NULL for who has not. A port's view reads the pass with the rights of the keeper, so a
-- reader of the port can neither read it nor ask for the hash of a guess. The body is bound when it is made: no search_path has a
-- say in it.
CREATE OR REPLACE FUNCTION mesh.keyed_hash(value text, pass bytea) RETURNS bytea
LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER COST 100
BEGIN ATOMIC
    SELECT sha256(k.outer_pad || sha256(k.inner_pad || convert_to(keyed_hash.value, 'UTF8')))
    FROM mesh.mask_keys AS k WHERE k.pass = keyed_hash.pass;
END;

-- Makes a secret the key; says whether it was another one before. For the platform's role only.
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
    INSERT INTO mesh.mask_keys AS k (domain, pass, inner_pad, outer_pad)
    VALUES ('', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), inner_block, outer_block)
    ON CONFLICT (domain) DO UPDATE SET inner_pad = excluded.inner_pad, outer_pad = excluded.outer_pad, made_at = clock_timestamp()
    WHERE k.inner_pad <> excluded.inner_pad;
    RETURN FOUND;
END
$$;

-- A new random key: from now on every hash is another one, in all ports at once.
CREATE OR REPLACE FUNCTION mesh.rotate_mask_key() RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ SELECT mesh.set_mask_key(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))) $$;
REVOKE ALL ON FUNCTION mesh.set_mask_key(bytea), mesh.rotate_mask_key() FROM PUBLIC;

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM mesh.mask_keys) THEN
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
    columns json NOT NULL,                 -- [[name, mask or null, comment], ...] in the view's order
    PRIMARY KEY (contract_id, table_name)
);
COMMENT ON TABLE mesh.port_views IS 'platform: written by mesh.make_view (see port_views.sql), read by plan';

-- Whether the transaction's snapshot holds a publication; an error when it does not. Asked by every port view while a query on it is
-- planned, and by nothing while it runs: declared immutable, although it is not, so that the answer (always true) leaves the plan.
-- That is sound, because a switch of the port throws away the plans made before, and the snapshots of a session only grow younger.
-- A transaction in READ COMMITTED takes the snapshot that it reads by after the plan was made: it sees what the view shows.
CREATE OR REPLACE FUNCTION mesh.shows(port text, shown text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT LIKE 'read %' THEN
        PERFORM FROM mesh.publications AS p WHERE p.contract_id = port AND p.publication = shown;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the port was published after this transaction took its snapshot'
                USING ERRCODE = 'serialization_failure', HINT = 'Begin the transaction again.';
        END IF;
    END IF;
    RETURN true;
END
$$;

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

-- The views that consumers read. They are made here and nowhere else, from data: no text of a caller's is run. Postgres evaluates what
-- stands in a view with the rights of whoever reads it, so nothing stands there but Postgres' own and the platform's functions.
-- These functions belong to the keeper, as do the views, their schemas and the versions: they act with its rights, which are few.

-- Whether who began the session, and whom it acts as, may write a domain. Asked by functions that act as their owner: there
-- current_user is the owner. Both are asked, so that neither SET ROLE nor another's session lends a right.
CREATE OR REPLACE FUNCTION mesh.acts_for(domain text) RETURNS boolean
LANGUAGE sql STABLE
RETURN NOT EXISTS (
    SELECT FROM (VALUES (session_user::text), (pg_catalog.current_setting('role'))) AS acting (name)
    WHERE acting.name OPERATOR(pg_catalog.<>) 'none' AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_roles AS r, pg_catalog.pg_roles AS o
        WHERE r.rolname OPERATOR(pg_catalog.=) acting.name
          AND o.rolname OPERATOR(pg_catalog.=) ($1 OPERATOR(pg_catalog.||) '_owner')
          AND pg_catalog.pg_has_role(r.oid, o.oid, 'USAGE')));

-- What a port's record says that it serves, and the schema that was applied for its product: a name alone does not tell whose a schema
-- is (sales.eu_orders and sales_eu.orders would both be in sales_eu_orders).
CREATE OR REPLACE FUNCTION mesh.served_version(port text, relation text)
RETURNS TABLE (port_schema text, versions_schema text, publication text, version text)
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT d.item::jsonb ->> 1, (d.item::jsonb ->> 1) || '_data', s.publication, p.tables -> served_version.relation ->> 'version'
    FROM mesh.ports AS s JOIN mesh.publications AS p ON p.contract_id = s.contract_id AND p.publication = s.publication
    JOIN mesh.declared AS d ON d.domain = p.domain AND d.product_id = p.product_id
     AND d.item = '["schema", "' || replace(p.product_id, '.', '_') || '"]'
    WHERE s.contract_id = served_version.port AND p.product_id || '.' || split_part(served_version.port, '.', 3) = served_version.port
      AND p.domain = split_part(served_version.port, '.', 1);
END;

-- What the files declared of a port's product when they were applied last: tables, masks, row filters, and who reads.
CREATE OR REPLACE FUNCTION mesh.applied_items(port text) RETURNS SETOF jsonb
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT d.item::jsonb FROM mesh.declared AS d
    WHERE d.product_id = split_part(applied_items.port, '.', 1) || '.' || split_part(applied_items.port, '.', 2)
      AND (d.item LIKE '["table", %' OR d.item LIKE '["mask", %' OR d.item LIKE '["filter", %' OR d.item LIKE '["grant", "relation", %');
END;

-- Records what a view was made of, for the plan.
CREATE OR REPLACE FUNCTION mesh.note_view(port text, relation text, view regclass, declared text, columns jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    INSERT INTO mesh.port_views AS held (contract_id, table_name, domain, declared, made, columns)
    SELECT note_view.port, note_view.relation, split_part(note_view.port, '.', 1), note_view.declared, md5(r.ev_action::text), note_view.columns::json
    FROM pg_rewrite AS r WHERE r.ev_class = note_view.view AND r.rulename = '_RETURN'
    ON CONFLICT (contract_id, table_name) DO UPDATE
    SET declared = excluded.declared, made = excluded.made, columns = excluded.columns, domain = excluded.domain;
END;

-- Makes a port's view show what the port serves. Unlike show_version it asks nobody and takes the masks as they are: for apply.
--   definition: {"columns": [{"name": ..., "mask": null or {"kind": ..., ...}, "comment": ...}, ...], "comment": ...,
--                "filter": null or {"column": ..., "attribute": ...}}
--   readers:    roles that may select; one that does not exist yet gets its grant when it is applied
--   anew:       drops the view first, because its shape is another one; an error while other views stand on it
CREATE OR REPLACE FUNCTION mesh.make_view(port text, relation text, definition jsonb, readers text[], anew boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner text := split_part(port, '.', 1) || '_owner';
    served record;
    view text;
    sealed record;
    asked jsonb;
    found record;
    mask jsonb;
    made text;
    parts text[] := '{}';
    kept jsonb := '[]';
    wanted_rows text := '';
    said record;
BEGIN
    SELECT * INTO served FROM mesh.served_version(port, relation);
    IF served.version IS NULL THEN
        RAISE EXCEPTION 'the port % serves no version of %', port, relation USING ERRCODE = 'insufficient_privilege',
            HINT = 'Publish it, or run ./mesh apply if the port is new.';
    END IF;
    IF octet_length(relation) > 63 THEN
        RAISE EXCEPTION 'the name % is longer than 63 bytes', relation USING ERRCODE = 'name_too_long';
    END IF;
    SELECT c.oid, c.relkind = 'r' AND c.relowner = v.nspowner AND v.nspowner = p.nspowner AND v.nspowner = k.oid AS whole INTO sealed
    FROM pg_class AS c JOIN pg_namespace AS v ON v.oid = c.relnamespace, pg_namespace AS p, pg_roles AS k
    WHERE v.nspname = served.versions_schema AND c.relname = served.version AND p.nspname = served.port_schema AND k.rolname = 'mesh_keeper';
    IF sealed.oid IS NULL THEN
        RAISE EXCEPTION 'there is no version %.%', served.versions_schema, served.version USING ERRCODE = 'undefined_table';
    ELSIF NOT sealed.whole THEN
        RAISE EXCEPTION '%.% is no sealed version', served.versions_schema, served.version USING ERRCODE = 'insufficient_privilege',
            HINT = 'Run ./mesh apply, then publish.';
    END IF;
    FOR asked IN SELECT a.value FROM jsonb_array_elements(definition -> 'columns') WITH ORDINALITY AS a (value, at) ORDER BY a.at LOOP
        SELECT * INTO found FROM mesh.version_column(sealed.oid, asked ->> 'name');
        IF found.type IS NULL THEN
            RAISE EXCEPTION 'the version %.% has no column %', served.versions_schema, served.version, asked ->> 'name' USING ERRCODE = 'undefined_column';
        ELSIF NOT found.plain THEN
            RAISE EXCEPTION 'the column % is of the type %, which is not one of Postgres'' own or of an extension', asked ->> 'name', found.type
                USING ERRCODE = 'invalid_object_definition', HINT = 'Cast it in the model: what others read must not run code of its domain.';
        END IF;
        mask := nullif(asked -> 'mask', 'null'::jsonb);
        IF mask IS NULL THEN
            parts := parts || format('v.%I', asked ->> 'name');
        ELSE
            made := mesh.masked(mask, asked ->> 'name', found.oid, found.modifier);
            IF made IS NULL THEN  -- it does not fit the type
                mask := '{"kind": "null"}';
                made := mesh.masked(mask, asked ->> 'name', found.oid, found.modifier);
            END IF;
            -- The role is asked once a query, as an init plan, not once a row. CASE forgets lengths and scales, and a view's column must
            -- keep its type when it becomes personal.
            parts := parts || format(
                'CAST(CASE WHEN (SELECT pg_has_role(current_user, %L, ''MEMBER'') OR pg_has_role(current_user, %L, ''MEMBER'')) THEN v.%I ELSE %s END AS %s) AS %I',
                served.port_schema || '_reader_pii', owner, asked ->> 'name', made, found.type, asked ->> 'name');
        END IF;
        kept := kept || jsonb_build_array(jsonb_build_array(asked ->> 'name', mask, coalesce(asked ->> 'comment', '')));
    END LOOP;
    IF jsonb_typeof(definition -> 'filter') = 'object' THEN
        wanted_rows := ' AND ' || mesh.row_condition(sealed.oid, definition -> 'filter' ->> 'column', definition -> 'filter' ->> 'attribute', split_part(port, '.', 1));
    END IF;
    view := format('%I.%I', served.port_schema, relation);
    IF anew THEN
        EXECUTE format('DROP VIEW IF EXISTS %s', view);
    END IF;
    -- A transaction in REPEATABLE READ keeps its first snapshot, but Postgres shows it the newest view: a version that was sealed
    -- later would look empty. It gets a serialization failure instead, asked for when a query is planned, at no cost when it runs.
    EXECUTE format('CREATE OR REPLACE VIEW %s%s AS SELECT %s FROM %I.%I AS v WHERE mesh.shows(%L, %L)%s',
        view, CASE WHEN wanted_rows <> '' THEN ' WITH (security_barrier = true)' ELSE '' END, array_to_string(parts, ', '),
        served.versions_schema, served.version, port, served.publication, wanted_rows);
    FOR said IN SELECT r.rolname FROM pg_roles AS r WHERE r.rolname = owner OR r.rolname = ANY (readers) ORDER BY 1 LOOP
        EXECUTE format('GRANT SELECT ON %s TO %I', view, said.rolname);
    END LOOP;
    EXECUTE format('COMMENT ON VIEW %s IS %L', view, coalesce(definition ->> 'comment', ''));
    FOR said IN SELECT k.value ->> 0 AS name, k.value ->> 2 AS comment FROM jsonb_array_elements(kept) AS k (value) LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', view, said.name, said.comment);
    END LOOP;
    PERFORM mesh.note_view(port, relation, view::regclass, jsonb_build_object('publication', served.publication, 'version', served.version,
        'filter', nullif(definition -> 'filter', 'null'::jsonb), 'comment', coalesce(definition ->> 'comment', ''))::text, kept);
END
$$;

-- The same for who publishes, in the transaction that records what the port serves. What was applied has the last word: a column that
-- was applied with a mask keeps it, or gets one that hides more; a row filter that was applied stays; and nobody reads whom the
-- files that were applied do not let read this table, or the port, when the table has joined it since. So a job cannot unmask its own
-- port, nor open it.
CREATE OR REPLACE FUNCTION mesh.show_version(port text, relation text, definition jsonb, readers text[], anew boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ranks jsonb := '{"partial": 1, "bucket": 2, "year": 2, "hash": 3, "null": 4}';  -- how much a mask hides
    items jsonb[];
    tables text[];
BEGIN
    IF NOT mesh.acts_for(split_part(port, '.', 1)) THEN
        RAISE EXCEPTION '% may not publish %', session_user, port USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT array_agg(i.item) INTO items FROM mesh.applied_items(port) AS i (item)
    WHERE i.item ->> 1 = port OR i.item ->> 0 = 'grant' AND i.item ->> 2 = replace(substring(port FROM '^[^.]*\.[^.]*'), '.', '_');
    SELECT array_agg(i.item ->> 2) INTO tables FROM unnest(items) AS i (item) WHERE i.item ->> 0 = 'table';
    IF relation = ANY (tables) THEN
        tables := ARRAY[relation];
    END IF;
    PERFORM mesh.make_view(
        port, relation,
        definition
        || jsonb_build_object('columns', (
            SELECT coalesce(jsonb_agg(a.value || coalesce((
                SELECT jsonb_build_object('mask', (i.item ->> 4)::jsonb) FROM unnest(items) AS i (item)
                WHERE i.item ->> 0 = 'mask' AND i.item ->> 2 = relation AND i.item ->> 3 = a.value ->> 'name'
                  AND CASE jsonb_typeof(a.value -> 'mask') WHEN 'object' THEN (ranks ->> (a.value -> 'mask' ->> 'kind'))::integer ELSE 0 END
                      <= (ranks ->> ((i.item ->> 4)::jsonb ->> 'kind'))::integer), '{}')
                ORDER BY a.at), '[]')
            FROM jsonb_array_elements(definition -> 'columns') WITH ORDINALITY AS a (value, at)))
        || coalesce((
            SELECT jsonb_build_object('filter', jsonb_build_object('column', i.item ->> 3, 'attribute', i.item ->> 4))
            FROM unnest(items) AS i (item) WHERE i.item ->> 0 = 'filter' AND i.item ->> 2 = relation LIMIT 1), '{}'),
        ARRAY(SELECT i.item ->> 5 FROM unnest(items) AS i (item)
              WHERE i.item ->> 0 = 'grant' AND i.item ->> 3 = ANY (tables) AND i.item ->> 6 = 'SELECT' AND i.item ->> 4 = '' AND i.item ->> 5 = ANY (readers)),
        anew);
END
$$;

-- Takes every view of a port, in the order given; LOCK would take what the views show as well, so an empty change does it. With one
-- view in hand the others are waited for only briefly: a reader may hold them while it waits for the first.
CREATE OR REPLACE FUNCTION mesh.lock_views(port text, relations text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    IF NOT mesh.acts_for(split_part(port, '.', 1)) THEN
        RAISE EXCEPTION '% may not publish %', session_user, port USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR found IN
        SELECT format('%I.%I', s.port_schema, c.relname) AS view, row_number() OVER (ORDER BY r.at) AS number
        FROM unnest(relations) WITH ORDINALITY AS r (name, at) CROSS JOIN LATERAL mesh.served_version(port, r.name) AS s
        JOIN pg_namespace AS n ON n.nspname = s.port_schema JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = r.name
        JOIN pg_roles AS k ON k.oid = c.relowner AND k.rolname = 'mesh_keeper'
        WHERE c.relkind = 'v' ORDER BY r.at
    LOOP
        PERFORM set_config('lock_timeout', CASE found.number WHEN 1 THEN '500ms' ELSE '10ms' END, true);
        EXECUTE format('ALTER VIEW IF EXISTS %s OWNER TO mesh_keeper', found.view);
    END LOOP;
END
$$;

-- A column of a version: its type as Postgres prints it, and whether that is Postgres' own or an extension's. Casts, checks and
-- comparisons of any other type may be functions of a domain's.
CREATE OR REPLACE FUNCTION mesh.version_column(version oid, name text, OUT oid oid, OUT modifier integer, OUT type text, OUT plain boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod),
           e.oid < 16384 OR EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_type'::regclass AND d.objid = e.oid AND d.deptype = 'e')
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    JOIN pg_type AS e ON e.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END
    WHERE a.attrelid = version AND a.attname = version_column.name AND a.attnum > 0 AND NOT a.attisdropped
$$;

-- Who may call what: publishers the two above that ask who they are, the keeper the rest, on their behalf.
REVOKE ALL ON FUNCTION
    mesh.served_version(text, text), mesh.applied_items(text), mesh.note_view(text, text, regclass, text, jsonb),
    mesh.make_view(text, text, jsonb, text[], boolean), mesh.show_version(text, text, jsonb, text[], boolean), mesh.lock_views(text, text[]),
    mesh.masked(jsonb, text, oid, integer), mesh.row_condition(oid, text, text, text), mesh.version_column(oid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    mesh.served_version(text, text), mesh.applied_items(text), mesh.note_view(text, text, regclass, text, jsonb),
    mesh.masked(jsonb, text, oid, integer), mesh.row_condition(oid, text, text, text), mesh.version_column(oid, text) TO mesh_keeper;
GRANT EXECUTE ON FUNCTION mesh.show_version(text, text, jsonb, text[], boolean), mesh.lock_views(text, text[]) TO mesh_member;
-- Who is to own a function needs the right to make one there, for as long as it takes.
GRANT CREATE ON SCHEMA mesh TO mesh_keeper;
ALTER FUNCTION mesh.make_view(text, text, jsonb, text[], boolean) OWNER TO mesh_keeper;
ALTER FUNCTION mesh.show_version(text, text, jsonb, text[], boolean) OWNER TO mesh_keeper;
ALTER FUNCTION mesh.lock_views(text, text[]) OWNER TO mesh_keeper;
REVOKE CREATE ON SCHEMA mesh FROM mesh_keeper;

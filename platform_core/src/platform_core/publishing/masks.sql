-- The SQL of masks: from a mask and a column's type to the expression that readers without the personal-data role see. NULL when the mask
-- does not fit the type (contracts/masking.py says the same with reasons); an error when it is no mask.
--
-- The expression keeps the column's type, says NULL where the value is NULL, and never raises an error, whatever the value: an error
-- message could name what is hidden, and one odd value must not take a port from its readers. Dates outside of the years 1 to 9999,
-- numbers that are infinite or NaN, and those whose bucket begins below the type's range become NULL.
CREATE OR REPLACE FUNCTION mesh.masked(mask jsonb, name text, type oid, modifier integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind text := mask ->> 'kind';
    base text := (SELECT t.typname FROM pg_type AS t WHERE t.oid = type AND t.oid < 16384 OR t.oid = type AND t.typname = 'citext');
    first integer := coalesce((mask ->> 'first')::integer, 0);
    last integer := coalesce((mask ->> 'last')::integer, 0);
    width numeric := (mask ->> 'width')::numeric;
    days integer := coalesce((mask ->> 'days')::integer, 0);
    months integer := coalesce((mask ->> 'months')::integer, 0);
    years integer := coalesce((mask ->> 'years')::integer, 0);
    lowest bigint;
    v text := format('v.%I', name);
    t text := format('v.%I::text', name);
    digest text;
    made text;
BEGIN
    IF kind IS NULL OR kind NOT IN ('null', 'partial', 'hash', 'year', 'bucket')
       OR first < 0 OR last < 0 OR days < 0 OR years < 0 OR months NOT IN (0, 1, 2, 3, 4, 6, 12) OR NOT coalesce(width > 0 AND width < 'Infinity', true)
       OR kind = 'bucket' AND (width IS NOT NULL)::integer + (days > 0)::integer + (months > 0)::integer + (years > 0)::integer <> 1 THEN
        RAISE EXCEPTION 'no mask: %', mask USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF kind = 'null' THEN
        made := 'NULL';
    ELSIF kind = 'partial' AND base IN ('text', 'varchar', 'bpchar', 'citext') THEN
        -- Three characters or more stay hidden, or all of them do; how many they are is not shown.
        IF coalesce((mask ->> 'domain')::boolean, false) THEN  -- what follows the last @, with it, is shown
            made := format('CASE WHEN %1$s IS NULL THEN NULL WHEN strpos(reverse(%1$s), ''@'') = 0 THEN ''***''
                WHEN char_length(%1$s) - strpos(reverse(%1$s), ''@'') >= %4$s
                THEN left(%1$s, %2$s) || ''***'' || right(left(%1$s, -strpos(reverse(%1$s), ''@'')), %3$s) || right(%1$s, strpos(reverse(%1$s), ''@''))
                ELSE ''***'' || right(%1$s, strpos(reverse(%1$s), ''@'')) END', t, first, last, first::bigint + last + 3);
        ELSE
            made := format('CASE WHEN %1$s IS NULL THEN NULL WHEN char_length(%1$s) >= %4$s
                THEN left(%1$s, %2$s) || ''***'' || right(%1$s, %3$s) ELSE ''***'' END', t, first, last, first::bigint + last + 3);
        END IF;
    ELSIF kind = 'hash' THEN
        -- The first bits of HMAC-SHA-256 of the value's text; the pass is read once a query, with the rights of the view's owner.
        digest := format('mesh.keyed_hash(%s, (SELECT k.pass FROM mesh.mask_pass AS k))', CASE base WHEN 'bytea' THEN format('encode(%s, ''hex'')', v) ELSE t END);
        IF base IN ('text', 'citext') OR base IN ('varchar', 'bpchar') AND (modifier < 0 OR modifier - 4 >= 16) THEN
            made := format('encode(substr(%s, 1, 16), ''hex'')', digest);
        ELSIF base = 'uuid' THEN
            made := format('encode(substr(%s, 1, 16), ''hex'')::uuid', digest);
        ELSIF base = 'bytea' THEN
            made := digest;
        ELSIF base = 'int8' THEN
            made := format('(''x'' || encode(substr(%s, 1, 8), ''hex''))::bit(64)::bigint', digest);
        END IF;
    ELSIF kind = 'bucket' AND width IS NOT NULL THEN
        IF base IN ('int2', 'int4', 'int8') AND scale(width) = 0 AND width <= (CASE base WHEN 'int2' THEN 32767 ELSE 2147483647 END) THEN
            lowest := CASE base WHEN 'int2' THEN -32768::bigint WHEN 'int4' THEN -2147483648 ELSE -9223372036854775808 END + width::bigint;
            made := format('CASE WHEN %1$s >= %3$L THEN %1$s::bigint - ((%1$s::bigint %% %2$s) + %2$s) %% %2$s END', v, width, lowest);
        ELSIF base IN ('float4', 'float8') THEN
            -- Larger numbers go to no bucket: what is computed with them could overflow.
            made := format('CASE WHEN abs(%1$s::float8) < 1e-30 THEN CASE WHEN %1$s < 0 THEN -%2$s ELSE 0 END
                WHEN abs(%1$s::float8) < 1e30 THEN floor(%1$s::float8 / %2$s) * %2$s END', v, width);
        ELSIF base = 'numeric' AND (modifier < 0 OR scale(width) <= ((modifier - 4) & 2047 # 1024) - 1024) THEN
            -- mod() of numerics is exact, a division is not.
            made := format('CASE WHEN %1$s < ''Infinity''::numeric AND %1$s > %3$L::numeric
                THEN %1$s - mod(%1$s, %2$s) - CASE WHEN mod(%1$s, %2$s) < 0 THEN %2$s ELSE 0 END END', v, width,
                CASE WHEN modifier < 0 THEN '-Infinity'
                     ELSE (width - ('1e' || ((modifier - 4) >> 16 & 65535) - (((modifier - 4) & 2047 # 1024) - 1024))::numeric)::text END);
        END IF;
    ELSIF kind IN ('year', 'bucket') AND base IN ('date', 'timestamp', 'timestamptz') THEN
        -- in UTC, whatever the reader's time zone: two readers see the same
        made := CASE base WHEN 'date' THEN v WHEN 'timestamp' THEN v || '::date' ELSE format('(%s AT TIME ZONE ''UTC'')::date', v) END;
        made := CASE
            WHEN kind = 'year' THEN format('make_date(extract(year FROM %s)::integer, 1, 1)', made)
            WHEN years > 0 THEN format('make_date(greatest(1, extract(year FROM %1$s)::integer - extract(year FROM %1$s)::integer %% %2$s), 1, 1)', made, years)
            WHEN months > 0 THEN format('make_date(extract(year FROM %1$s)::integer, (extract(month FROM %1$s)::integer - 1) / %2$s * %2$s + 1, 1)', made, months)
            -- since a Monday: buckets of 7 days are weeks
            ELSE format('greatest(date ''0001-01-01'', %1$s - (((%1$s - date ''2001-01-01'') %% %2$s) + %2$s) %% %2$s)', made, days) END;
        made := CASE base
            WHEN 'date' THEN format('CASE WHEN %s BETWEEN date ''0001-01-01'' AND date ''9999-12-31'' THEN %s END', v, made)
            WHEN 'timestamp' THEN format('CASE WHEN %1$s >= timestamp ''0001-01-01'' AND %1$s < timestamp ''10000-01-01'' THEN %2$s::timestamp END', v, made)
            ELSE format('CASE WHEN %1$s >= timestamptz ''0001-01-01 00:00+00'' AND %1$s < timestamptz ''10000-01-01 00:00+00''
                THEN (%2$s::timestamp AT TIME ZONE ''UTC'') END', v, made) END;
    END IF;
    RETURN CASE WHEN made IS NOT NULL THEN format('CAST(%s AS %s)', made, format_type(type, modifier)) END;
END
$$;

-- The SQL of row filters: whether a row v is shown to who asks: to the owner, to who has the attribute with every value ('*'), and to who
-- has the row's. The attributes are those of the roles of which the reader is a member, given by the platform or by the port's own
-- domain, and are looked up once a query with the rights of the view's owner. A value that is none of the column's type is nobody's;
-- of a column that is not there, or of another type than text, whole numbers and uuid, only the owner sees rows.
CREATE OR REPLACE FUNCTION mesh.row_condition(version oid, name text, attribute text, domain text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base text := (SELECT t.typname FROM mesh.version_column(version, name) AS c JOIN pg_type AS t ON t.oid = c.oid WHERE t.oid < 16384);
    owner text := format('pg_has_role(current_user, %L, ''MEMBER'')', domain || '_owner');
    mine text := format('FROM mesh.reader_attributes AS a JOIN pg_catalog.pg_roles AS r ON r.rolname = a.role
        WHERE a.attribute = %L AND a.domain IN ('''', %L) AND pg_has_role(current_user, r.oid, ''MEMBER'')', attribute, domain);
    value text := CASE
        WHEN base IN ('int2', 'int4', 'int8') THEN 'CASE WHEN a.value ~ ''^-?[0-9]{1,18}$'' THEN a.value::bigint END'
        WHEN base = 'uuid' THEN 'CASE WHEN a.value ~ ''^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'' THEN a.value::uuid END'
        WHEN base IN ('text', 'varchar', 'bpchar') THEN 'a.value' END;
BEGIN
    IF value IS NULL THEN
        RETURN owner;
    END IF;
    RETURN format('((SELECT %s OR EXISTS (SELECT %s AND a.value = ''*'')) OR v.%I = ANY ((SELECT array_agg(%s) %s)::%s))',
        owner, mine, name, value, mine,
        CASE WHEN base LIKE 'int%' THEN 'bigint[]' WHEN base = 'uuid' THEN 'uuid[]' WHEN base = 'bpchar' THEN 'bpchar[]' ELSE 'text[]' END);
END
$$;

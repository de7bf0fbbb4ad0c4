-- The platform's own tables live here; every one carries the domain it speaks of, and row security keeps domains apart.
CREATE SCHEMA IF NOT EXISTS mesh;

CREATE OR REPLACE FUNCTION mesh.may_write(domain text) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_roles AS r
        WHERE r.rolname = domain || '_owner' AND pg_catalog.pg_has_role(current_user, r.oid, 'USAGE')
    )
$$;

-- What the catalog is to know: the latest content of every aspect that a product speaks of (and its recent events).
-- Written in the transaction that publishes; nothing here waits for a server.
CREATE TABLE IF NOT EXISTS mesh.catalog_outbox (
    domain text NOT NULL,
    product_id text NOT NULL,
    publication text NOT NULL,          -- the publication (or audit) that last changed the content
    stage smallint NOT NULL,            -- order of sending: what is referred to goes first
    entity_type text NOT NULL,
    entity_urn text NOT NULL,
    aspect_name text NOT NULL,
    event text NOT NULL DEFAULT '',     -- '' for a state; a sortable key for an event of a time series
    value text NOT NULL,                -- the aspect as JSON, as it is sent
    hash text NOT NULL,                 -- of value
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (product_id, entity_urn, aspect_name, event)
);

-- What each sink was given. Apart from the outbox, so that a slow server's locks never meet a publication.
CREATE TABLE IF NOT EXISTS mesh.catalog_deliveries (
    domain text NOT NULL,
    sink text NOT NULL,
    product_id text NOT NULL,
    entity_urn text NOT NULL,
    aspect_name text NOT NULL,
    event text NOT NULL DEFAULT '',
    delivered_hash text,
    delivered_at timestamptz,
    refused_hash text,                  -- quarantined: this content is not offered again
    reason text,                        -- why it was refused, or why the last attempt failed
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (sink, product_id, entity_urn, aspect_name, event)
);
CREATE INDEX IF NOT EXISTS catalog_deliveries_entity ON mesh.catalog_deliveries (sink, entity_urn, aspect_name, event);

-- A domain tells the catalog of its own things: what it sends is upserted there under the name of the entity alone. Tags, users and
-- groups are everybody's; a type that no file of ours speaks of is nobody's.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'mesh.catalog_outbox'::regclass AND conname = 'catalog_outbox_of_own') THEN
        ALTER TABLE mesh.catalog_outbox DROP CONSTRAINT IF EXISTS catalog_outbox_of_product;
        ALTER TABLE mesh.catalog_outbox ADD CONSTRAINT catalog_outbox_of_own CHECK (
            CASE entity_type
                WHEN 'dataset' THEN starts_with(entity_urn, 'urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.' || domain || '_raw.')
                    OR starts_with(entity_urn, 'urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.' || domain || '_build.')
                    OR starts_with(entity_urn, 'urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.' || replace(product_id, '.', '_') || '.')
                WHEN 'dataProduct' THEN entity_urn = 'urn:li:dataProduct:' || product_id
                WHEN 'domain' THEN entity_urn = 'urn:li:domain:' || domain
                ELSE entity_type IN ('assertion', 'tag', 'corpuser', 'corpGroup') AND starts_with(entity_urn, 'urn:li:' || entity_type || ':')
            END) NOT VALID;
    END IF;
END
$$;

-- A schema's name does not tell whose it is: sales.eu_orders and sales_eu.orders would both be sales_eu_orders, sales.eu_raw the raw
-- schema of sales_eu. So a domain speaks of the schema that was applied for the product, as it does of its raw and build schemas.
CREATE OR REPLACE FUNCTION mesh.own_schema() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF row_security_active('mesh.catalog_outbox') AND NOT mesh.schema_applied(NEW.domain, NEW.product_id, replace(NEW.product_id, '.', '_')) THEN
        RAISE EXCEPTION 'the product % has no schema of its own, so % is not its', NEW.product_id, NEW.entity_urn
            USING ERRCODE = 'insufficient_privilege', HINT = 'Run ./mesh apply if the product is new.';
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER own_schema BEFORE INSERT OR UPDATE ON mesh.catalog_outbox
    FOR EACH ROW WHEN (NEW.entity_type = 'dataset'
        AND NOT starts_with(NEW.entity_urn, 'urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.' || NEW.domain || '_raw.')
        AND NOT starts_with(NEW.entity_urn, 'urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.' || NEW.domain || '_build.'))
    EXECUTE FUNCTION mesh.own_schema();

-- An assertion's name is a hash that tells no domain: it belongs to the product that spoke of it first.
CREATE INDEX IF NOT EXISTS catalog_outbox_entity ON mesh.catalog_outbox (entity_urn);
CREATE OR REPLACE FUNCTION mesh.own_assertion() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM mesh.catalog_outbox AS o WHERE o.entity_urn = NEW.entity_urn AND o.product_id <> NEW.product_id) THEN
        RAISE EXCEPTION 'the assertion % is another product''s', NEW.entity_urn USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER own_assertion BEFORE INSERT OR UPDATE ON mesh.catalog_outbox
    FOR EACH ROW WHEN (NEW.entity_type = 'assertion') EXECUTE FUNCTION mesh.own_assertion();

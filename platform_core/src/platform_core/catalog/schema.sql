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

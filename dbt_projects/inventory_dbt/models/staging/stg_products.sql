-- One row per product of the catalog: our names, exact types, no stray blanks.
select
    id as item_id,
    btrim(make) as make,
    btrim(model) as model,
    year::integer as model_year,
    price::numeric(12, 2) as list_price_usd,
    created_at as listed_at,
    updated_at
from {{ source('inventory_raw', 'products') }}

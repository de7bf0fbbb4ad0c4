-- The port table of inventory.items. Its columns are exactly those of contracts/items.odcs.yaml, in the same order.
select
    item_id,
    concat_ws(' ', model_year, make, model) as item_name,
    make,
    model,
    model_year,
    list_price_usd,
    case
        when list_price_usd < 20000 then 'entry'
        when list_price_usd < 35000 then 'standard'
        when list_price_usd >= 35000 then 'premium'
    end as price_band,
    listed_at,
    updated_at
from {{ ref('stg_products') }}

-- Purchases joined with who bought and what was bought. The domains publish on their own schedules, so a purchase can arrive
-- before its customer or item does: the inner joins hold it back until then, and a test counts what is held back.
select
    purchases.order_id,
    purchases.customer_id,
    profiles.email as customer_email,
    purchases.item_id,
    items.item_name,
    purchases.status,
    items.list_price_usd as amount_usd,
    case when purchases.status = 'purchased' then items.list_price_usd else 0 end::numeric(12, 2) as revenue_usd,
    purchases.added_to_cart_at,
    purchases.purchased_at,
    purchases.returned_at,
    purchases.updated_at
from {{ ref('stg_purchases') }} as purchases
inner join {{ source('customer_profiles', 'profiles') }} as profiles on profiles.customer_id = purchases.customer_id
inner join {{ source('inventory_items', 'items') }} as items on items.item_id = purchases.item_id

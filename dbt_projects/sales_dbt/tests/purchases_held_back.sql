-- Purchases whose customer or item is not published yet. A few are usual between two syncs; many mean that an input is stale.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'orders'}}}) }}

select purchases.order_id, purchases.customer_id, purchases.item_id
from {{ ref('stg_purchases') }} as purchases
left join {{ ref('orders') }} as orders on orders.order_id = purchases.order_id
where orders.order_id is null

-- A port table of sales.orders. Its columns are exactly those of contracts/orders.odcs.yaml, in the same order.
select
    order_id,
    customer_id,
    customer_email,
    item_id,
    item_name,
    status,
    amount_usd,
    revenue_usd,
    added_to_cart_at,
    purchased_at,
    returned_at,
    updated_at
from {{ ref('int_orders') }}

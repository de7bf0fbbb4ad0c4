-- What the segmentation in Python starts from: the many orders summed up here, in the warehouse, to one row per customer.
select
    profiles.customer_id,
    profiles.country_code,
    count(orders.order_id)::integer as orders,
    (count(orders.order_id) filter (where orders.status = 'returned'))::integer as returns,
    coalesce(sum(orders.revenue_usd), 0)::numeric(14, 2) as revenue_usd,
    max(orders.purchased_at) as last_purchased_at
from {{ source('customer_profiles', 'profiles') }} as profiles
left join {{ source('sales_orders', 'orders') }} as orders
    on orders.customer_id = profiles.customer_id and orders.status in ('purchased', 'returned')
group by profiles.customer_id, profiles.country_code

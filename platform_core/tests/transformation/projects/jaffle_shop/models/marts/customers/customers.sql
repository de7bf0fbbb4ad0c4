select
    customers.customer_id,
    customers.first_name,
    customers.last_name,
    customers.email,
    min(orders.order_date) as first_order,
    max(orders.order_date) as most_recent_order,
    count(orders.order_id) as number_of_orders
from {{ ref('stg_customers') }} as customers
left join {{ ref('stg_orders') }} as orders using (customer_id)
group by 1, 2, 3, 4

with order_payments as (
    select order_id, sum(amount)::numeric(14, 2) as amount from {{ ref('stg_payments') }} group by 1
)
select
    orders.order_id,
    orders.customer_id,
    orders.order_date,
    orders.status,
    order_payments.amount
from {{ ref('stg_orders') }} as orders
left join order_payments using (order_id)

-- A port table of sales.orders: one row per day on which something was paid or came back. It reads int_orders and not the
-- table orders, because a published table has left this schema when the model is built on its own.
with bought as (
    select
        (purchased_at at time zone 'UTC')::date as day,
        count(*) as orders,
        count(distinct customer_id) as customers,
        sum(amount_usd) as gross_revenue_usd
    from {{ ref('int_orders') }}
    where purchased_at is not null
    group by 1
),

returned as (
    select
        (returned_at at time zone 'UTC')::date as day,
        count(*) as returns,
        sum(amount_usd) as refunds_usd
    from {{ ref('int_orders') }}
    where returned_at is not null
    group by 1
)

select
    day,
    coalesce(bought.orders, 0) as orders,
    coalesce(returned.returns, 0) as returns,
    coalesce(bought.customers, 0) as customers,
    coalesce(bought.gross_revenue_usd, 0)::numeric(14, 2) as gross_revenue_usd,
    coalesce(returned.refunds_usd, 0)::numeric(14, 2) as refunds_usd,
    (coalesce(bought.gross_revenue_usd, 0) - coalesce(returned.refunds_usd, 0))::numeric(14, 2) as revenue_usd
from bought
full join returned using (day)

-- The sum over all days is the sum over all orders: no purchase is lost between the two port tables. A contract audits each
-- table by itself and cannot see this.
{{ config(meta={'dagster': {'ref': {'name': 'daily_revenue'}}}) }}

select by_order.revenue_usd as by_order, by_day.revenue_usd as by_day
from (select coalesce(sum(revenue_usd), 0) as revenue_usd from {{ ref('orders') }}) as by_order
cross join (select coalesce(sum(revenue_usd), 0) as revenue_usd from {{ ref('daily_revenue') }}) as by_day
where by_order.revenue_usd <> by_day.revenue_usd

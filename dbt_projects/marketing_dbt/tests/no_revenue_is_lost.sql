-- The sum over all customers is the sum over all orders: no order belongs to a customer that the profiles lack.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'customer_orders'}}}) }}

select by_customer.revenue_usd as by_customer, by_order.revenue_usd as by_order
from (select coalesce(sum(revenue_usd), 0) as revenue_usd from {{ ref('customer_orders') }}) as by_customer
cross join (select coalesce(sum(revenue_usd), 0) as revenue_usd from {{ source('sales_orders', 'orders') }}) as by_order
where by_customer.revenue_usd <> by_order.revenue_usd

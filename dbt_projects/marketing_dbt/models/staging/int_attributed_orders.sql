-- Which campaign an order is credited to. The rule, in words:
--   1. An order counts when it was paid; one that came back later counts, with no revenue.
--   2. A campaign may claim it when it ran on the day of payment (UTC), was shown in the buyer's country, and was clicked that day.
--   3. Of several claims the one with the most clicks that day wins, then the lower campaign id: an order is credited once.
-- The rule is about place and time, not about people: it needs no cookie and no personal data.
select distinct on (orders.order_id)
    orders.order_id,
    campaigns.campaign_id,
    delivery.day,
    orders.revenue_usd
from {{ source('sales_orders', 'orders') }} as orders
inner join {{ source('customer_profiles', 'profiles') }} as profiles on profiles.customer_id = orders.customer_id
inner join {{ ref('stg_delivery') }} as delivery on delivery.day = (orders.purchased_at at time zone 'UTC')::date and delivery.clicks > 0
inner join {{ ref('stg_campaigns') }} as campaigns
    on campaigns.campaign_id = delivery.campaign_id
    and delivery.day between campaigns.starts_on and campaigns.ends_on
    and jsonb_exists(campaigns.countries, profiles.country_code)
where orders.status in ('purchased', 'returned')
order by orders.order_id, delivery.clicks desc, campaigns.campaign_id

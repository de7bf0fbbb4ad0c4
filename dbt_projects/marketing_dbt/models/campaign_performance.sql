-- The port table of marketing.campaign_performance. Its columns are exactly those of the contract, in the same order.
with delivered as (
    select
        campaign_id,
        date_trunc('month', day::timestamp)::date as month,
        sum(impressions)::bigint as impressions,
        sum(clicks)::bigint as clicks,
        sum(spend_usd)::numeric(14, 2) as spend_usd,
        max(loaded_at) as loaded_at
    from {{ ref('stg_delivery') }}
    group by 1, 2
),

converted as (
    select
        campaign_id,
        date_trunc('month', day::timestamp)::date as month,
        sum(conversions)::bigint as conversions,
        sum(conversion_value_usd)::numeric(14, 2) as conversion_value_usd,
        max(loaded_at) as loaded_at
    from {{ ref('stg_conversions') }}
    group by 1, 2
),

credited as (
    select
        campaign_id,
        date_trunc('month', day::timestamp)::date as month,
        count(*) as orders,
        sum(revenue_usd) as revenue_usd
    from {{ ref('int_attributed_orders') }}
    group by 1, 2
)

select
    campaigns.campaign_id,
    delivered.month,
    campaigns.platform,
    campaigns.campaign_name,
    budgets.cost_center,
    budgets.budget_usd::numeric(14, 2) as budget_usd,
    delivered.impressions,
    delivered.clicks,
    delivered.spend_usd,
    coalesce(converted.conversions, 0) as conversions,
    coalesce(converted.conversion_value_usd, 0)::numeric(14, 2) as conversion_value_usd,
    coalesce(credited.orders, 0) as orders,
    coalesce(credited.revenue_usd, 0)::numeric(14, 2) as revenue_usd,
    round(delivered.spend_usd / credited.orders, 2)::numeric(14, 2) as cost_per_order_usd,
    round(coalesce(credited.revenue_usd, 0) / nullif(delivered.spend_usd, 0), 2)::numeric(14, 2) as return_on_ad_spend,
    least(delivered.loaded_at, converted.loaded_at) as loaded_at
from delivered
inner join {{ ref('stg_campaigns') }} as campaigns on campaigns.campaign_id = delivered.campaign_id
left join converted on converted.campaign_id = delivered.campaign_id and converted.month = delivered.month
left join credited on credited.campaign_id = delivered.campaign_id and credited.month = delivered.month
left join {{ source('marketing_raw', 'campaign_budgets') }} as budgets
    on budgets.campaign_id = delivered.campaign_id and budgets.month = delivered.month

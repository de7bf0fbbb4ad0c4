-- What each campaign delivered on each day, both platforms alike: Searchlight bills dollars, Plaza cents, and calls clicks taps.
select
    campaign_id,
    date as day,
    impressions,
    clicks,
    cost_usd as spend_usd,
    _airbyte_extracted_at as loaded_at
from {{ source('marketing_raw', 'searchlight_daily') }}
union all
select
    campaign as campaign_id,
    day,
    views as impressions,
    taps as clicks,
    spend_cents / 100.0 as spend_usd,
    _airbyte_extracted_at as loaded_at
from {{ source('marketing_raw', 'plaza_insights') }}

-- The purchases that each platform counts for the clicks of each day, both alike. It is their own claim: int_attributed_orders has ours.
select
    campaign_id,
    date as day,
    conversions,
    value_usd as conversion_value_usd,
    _airbyte_extracted_at as loaded_at
from {{ source('marketing_raw', 'searchlight_conversions') }}
union all
select
    campaign as campaign_id,
    day,
    purchases as conversions,
    value_cents / 100.0 as conversion_value_usd,
    _airbyte_extracted_at as loaded_at
from {{ source('marketing_raw', 'plaza_purchases') }}

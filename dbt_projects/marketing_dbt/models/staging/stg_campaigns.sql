-- The campaigns of both platforms under our names; the only place that knows how each platform describes them.
select
    'searchlight' as platform,
    id as campaign_id,
    name as campaign_name,
    start_date as starts_on,
    end_date as ends_on,
    geo_targets as countries
from {{ source('marketing_raw', 'searchlight_campaigns') }}
union all
select
    'plaza' as platform,
    campaign as campaign_id,
    title as campaign_name,
    starts_on,
    ends_on,
    audience -> 'countries' as countries
from {{ source('marketing_raw', 'plaza_campaigns') }}

-- What the platforms count is in the port table: no conversion belongs to a campaign and month without delivery.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'campaign_performance'}}}) }}

select counted.conversions as counted, reported.conversions as reported
from (select coalesce(sum(conversions), 0) as conversions from {{ ref('stg_conversions') }}) as counted
cross join (select coalesce(sum(conversions), 0) as conversions from {{ ref('campaign_performance') }}) as reported
where counted.conversions <> reported.conversions

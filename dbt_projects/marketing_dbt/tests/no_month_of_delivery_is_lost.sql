-- What the platforms charged is in the port table, to the cent: no campaign is missing from the platforms' own lists.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'campaign_performance'}}}) }}

select charged.spend_usd as charged, reported.spend_usd as reported
from (select coalesce(sum(spend_usd), 0) as spend_usd from {{ ref('stg_delivery') }}) as charged
cross join (select coalesce(sum(spend_usd), 0) as spend_usd from {{ ref('campaign_performance') }}) as reported
where charged.spend_usd <> reported.spend_usd

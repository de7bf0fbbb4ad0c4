{{ config(materialized='ephemeral') }}
select id::bigint as account_id, iban::text as iban, opened_on::date as opened_on from {{ source('bank', 'accounts') }}

{{ config(alias='accounts') }}
select account_id, iban, opened_on, {{ today() }} as seen_on from {{ ref('stg_accounts') }}

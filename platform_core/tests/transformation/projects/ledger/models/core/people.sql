{{ config(alias='accounts', schema='crm', grants={'select': ['reporter']}) }}
select id::bigint as person_id, {{ env_var('LEDGER_REGION', 'EU') and "'EU'" }}::text as region from {{ source('crm', 'people') }}

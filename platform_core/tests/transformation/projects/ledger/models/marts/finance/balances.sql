{{ config(materialized='view') }}
select account_id, sum(amount) as balance from {{ ref('fct_transactions') }} group by 1

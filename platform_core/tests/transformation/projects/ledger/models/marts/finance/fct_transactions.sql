{{ config(materialized='incremental', unique_key='transaction_id') }}
select transaction_id, account_id, amount, booked_at from {{ ref('stg_transactions') }}
{% if is_incremental() %}where booked_at > (select max(booked_at) from {{ this }}){% endif %}

{% snapshot accounts_history %}
{{ config(target_schema='history', unique_key='id', strategy='check', check_cols=['iban']) }}
select id::bigint as id, iban::text as iban from {{ source('bank', 'accounts') }}
{% endsnapshot %}

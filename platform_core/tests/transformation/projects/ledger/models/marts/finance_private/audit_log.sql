select transaction_id, booked_at from {{ ref('stg_transactions') }}

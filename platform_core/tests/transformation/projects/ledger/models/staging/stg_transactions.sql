select id::bigint as transaction_id, account_id::bigint as account_id, (cents / 100.0)::numeric(14, 2) as amount, booked_at::timestamptz as booked_at
from {{ source('bank', 'transactions') }}

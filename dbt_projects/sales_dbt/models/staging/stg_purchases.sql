-- One row per purchase of the web shop: our names, and the status that follows from the dates.
select
    id as order_id,
    user_id as customer_id,
    product_id as item_id,
    case
        when returned_at is not null then 'returned'
        when purchased_at is not null then 'purchased'
        else 'in_cart'
    end as status,
    added_to_cart_at,
    purchased_at,
    returned_at,
    updated_at
from {{ source('sales_raw', 'purchases') }}

select 1::int as "Order ID", 2::numeric as total, 'x'::text as "user"

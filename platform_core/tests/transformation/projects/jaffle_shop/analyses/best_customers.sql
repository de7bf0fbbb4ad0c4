select * from {{ ref('customers') }} order by number_of_orders desc

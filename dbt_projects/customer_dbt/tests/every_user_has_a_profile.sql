-- The model only renames and derives: a user without a profile, or two of them, is a fault of the SQL, which no contract can see.
{{ config(meta={'dagster': {'ref': {'name': 'profiles'}}}) }}

select users.id, count(profiles.customer_id) as profiles
from {{ source('customer_raw', 'users') }} as users
left join {{ ref('profiles') }} as profiles on profiles.customer_id = users.id
group by users.id
having count(profiles.customer_id) <> 1

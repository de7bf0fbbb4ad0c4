-- One row per user of the CRM: our names, exact types, empty text as NULL. Blood group, height and weight stay behind.
select
    id as customer_id,
    nullif(btrim(name), '') as given_name,
    lower(btrim(email)) as email,
    nullif(regexp_replace(telephone, '[^0-9]', '', 'g'), '') as phone,
    age::integer as age,
    lower(gender) as gender,
    language,
    occupation,
    nullif(concat_ws(' ', address ->> 'street_number', address ->> 'street_name'), '') as street,
    address ->> 'postal_code' as postal_code,
    address ->> 'city' as city,
    upper(address ->> 'country_code') as country_code,
    created_at as registered_at,
    updated_at
from {{ source('customer_raw', 'users') }}

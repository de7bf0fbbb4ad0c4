-- The port table of customer.profiles. Its columns are exactly those of contracts/profiles.odcs.yaml, in the same order.
select
    customer_id,
    given_name,
    email,
    phone,
    age,
    case
        when age < 25 then '16-24'
        when age < 35 then '25-34'
        when age < 45 then '35-44'
        when age < 55 then '45-54'
        when age < 65 then '55-64'
        when age >= 65 then '65+'
    end as age_band,
    gender,
    language,
    occupation,
    street,
    postal_code,
    city,
    country_code,
    registered_at,
    updated_at
from {{ ref('stg_users') }}

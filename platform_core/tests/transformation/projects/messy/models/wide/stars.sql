select * from {{ ref('undocumented') }}

select 1::bigint as id

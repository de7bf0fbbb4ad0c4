select safe_cast(id as int64) as id, * except (id) from `project.dataset.table` qualify row_number() over (partition by id) = 1

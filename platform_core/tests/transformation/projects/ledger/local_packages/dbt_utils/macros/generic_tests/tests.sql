{% test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
select {{ column_name }} from {{ model }} where false {% if min_value is not none %} or {{ column_name }} < {{ min_value }}{% endif %}
{% endtest %}
{% test expression_is_true(model, expression, column_name=none) %}
select 1 from {{ model }} where not ({{ column_name or '' }} {{ expression }})
{% endtest %}
{% test unique_combination_of_columns(model, combination_of_columns) %}
select {{ combination_of_columns | join(', ') }} from {{ model }} group by {{ combination_of_columns | join(', ') }} having count(*) > 1
{% endtest %}
{% test mutually_exclusive_ranges(model, lower_bound_column, upper_bound_column) %}
select 1 where false
{% endtest %}

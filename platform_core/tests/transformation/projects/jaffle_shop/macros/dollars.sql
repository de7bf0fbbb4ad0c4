{% macro dollars(column) %}({{ column }} / {{ var('cents_per_dollar') }}.0)::numeric(12, 2){% endmacro %}

{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if target.name == 'prod' and custom_schema_name -%}{{ custom_schema_name | trim }}{%- else -%}{{ target.schema }}_{{ custom_schema_name }}{%- endif -%}
{%- endmacro %}
{% macro today() %}{% if target.name == 'prod' %}current_date{% else %}date '2026-01-31'{% endif %}{% endmacro %}

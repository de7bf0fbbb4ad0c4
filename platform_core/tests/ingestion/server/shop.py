"""The example of these tests: a shop that is read, a Postgres that is written, and a connection file for both."""

from __future__ import annotations

from typing import Any

from standin_state import Stream

API_KEY = "shop-api-key-of-the-environment"
WAREHOUSE_PASSWORD = "password-of-sales-job"
SHOP_SPEC = {
    "type": "object",
    "required": ["count", "api_key"],
    "additionalProperties": False,
    "properties": {
        "count": {"type": "integer"},
        "api_key": {"type": "string", "airbyte_secret": True},
        "region": {"type": "string"},
        "auth": {"type": "object", "properties": {"token": {"type": "string", "airbyte_secret": True}}},
    },
}
DESTINATION_SPEC = {
    "type": "object",
    "required": ["host", "port", "username", "database", "schema"],
    "additionalProperties": False,
    "properties": {
        "host": {"type": "string"}, "port": {"type": "integer"}, "database": {"type": "string"}, "schema": {"type": "string"},
        "username": {"type": "string"}, "password": {"type": "string", "airbyte_secret": True}, "ssl": {"type": "boolean"},
        "ssl_mode": {"type": "object"}, "jdbc_url_params": {"type": "string"}, "raw_data_schema": {"type": "string"},
        "disable_type_dedupe": {"type": "boolean"}, "drop_cascade": {"type": "boolean"}, "unconstrained_number": {"type": "boolean"},
        "tunnel_method": {"type": "object"},
    },
}  # fmt: skip
SHOP_STREAMS = (
    Stream("users", rows=10, bytes=1000),
    Stream("purchases", rows=100, bytes=5000),
    Stream("events", source_cursor=False, default_cursor=(), source_key=(), fields=("event_id", "at"), rows=7, bytes=70),
)
SHOP_FILE: dict[str, Any] = {
    "connector": {"package": "airbyte-source-shop", "version": "1.2.3"},
    "config": {"count": "${SHOP_COUNT:-5}", "api_key": "${SHOP_API_KEY}", "region": "eu"},
    "streams": [
        {"name": "users", "sync_mode": "incremental_deduped"},
        {"name": "purchases", "sync_mode": "full_refresh_overwrite"},
        {"name": "events", "sync_mode": "incremental_append", "cursor_field": "at"},
    ],
}

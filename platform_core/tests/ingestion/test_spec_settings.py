"""What a connector's spec asks, as real connectors write it."""

from __future__ import annotations

import shlex

import pytest

from platform_core.ingestion import ConfigurationError
from platform_core.ingestion.spec_settings import fill, settings_of

# Pieces of the specs of source-stripe 5.14.1 and source-hubspot 5.7.0.
STRIPE = {
    "properties": {
        "client_secret": {
            "description": "Stripe API key (usually starts with 'sk_live_'; find yours <a href=\"x\">here</a>).",
            "airbyte_secret": True,
        },
        "account_id": {"description": "Your account ID; it starts with 'acct_'."},
        "start_date": {"description": "UTC date in the format 2017-01-25T00:00:00Z. Only data generated after it is read."},
    }
}
HUBSPOT = {
    "required": ["credentials"],
    "properties": {
        "credentials": {
            "oneOf": [
                {"title": "OAuth", "properties": {"credentials_title": {"const": "OAuth Credentials"}, "client_id": {"type": "string"}}},
                {"title": "Private App", "properties": {"credentials_title": {"const": "Private App Credentials"}}},
            ]
        }
    },
}  # fmt: skip


def test_a_description_is_one_whole_sentence() -> None:
    assert [setting.description for setting in settings_of(STRIPE)] == [
        "Stripe API key (usually starts with 'sk_live_'; find yours here)",
        "Your account ID",
        "UTC date in the format 2017-01-25T00:00:00Z",
    ]


def test_the_flag_that_chooses_a_shape_can_be_pasted() -> None:
    with pytest.raises(ConfigurationError, match="credentials has several shapes") as caught:
        fill(HUBSPOT, {}, name="crm")
    flags = (caught.value.remedy or "").partition("Private App (")[2].rstrip(")")
    option, value = shlex.split(flags)
    assert option == "--set"
    assert fill(HUBSPOT, dict([value.split("=")]), name="crm") == {"credentials": {"credentials_title": "Private App Credentials"}}

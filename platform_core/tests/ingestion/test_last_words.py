"""A connector's trouble in a line or two: real connectors log tracebacks of a hundred lines for a wrong key."""

from __future__ import annotations

import logging

import pytest
from scripted_source import complete, record, stream

from platform_core.ingestion import ConnectorError
from platform_core.ingestion.last_words import last_words, without_traceback

# As source-google-sheets 0.11.0 logs a key that is none, shortened.
TRACEBACK = """Traceback (most recent call last):
  File "/environment/jwt/algorithms.py", line 559, in prepare_key
    raise InvalidKeyError(
jwt.exceptions.InvalidKeyError: Could not parse the provided public key.

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/environment/source_google_sheets/run.py", line 53, in run
    launch(source, _args)
    ^^^^^^^^^^^^^^^^^^^^^
ValueError: Failed to sign the token"""


def test_of_a_traceback_the_exception_and_its_place() -> None:
    assert last_words(f"starting\n{TRACEBACK}\n") == (
        'ValueError: Failed to sign the token\n  File "/environment/source_google_sheets/run.py", line 53, in run'
    )


def test_of_other_output_the_last_whole_lines() -> None:
    assert last_words("one\ntwo\n") == "one\ntwo"
    long = "\n".join(f"line {number} {'x' * 90}" for number in range(100))
    assert last_words(long).startswith("line 80 ") and last_words(long).endswith(long[-100:])
    assert last_words("y" * 5000) == "y" * 2000
    assert last_words("") == ""


@pytest.mark.parametrize(
    ("logged", "said"),
    [
        (f"discover failed\n{TRACEBACK}", "discover failed: ValueError: Failed to sign the token"),
        (f"Failed to sign the token\n{TRACEBACK}", "Failed to sign the token"),
        (TRACEBACK, "ValueError: Failed to sign the token"),
        (f"not available. Error: 403Error traceback: \n {TRACEBACK}", "not available. Error: 403: ValueError: Failed to sign the token"),
        (repr(f"no 'right'\n{TRACEBACK}"), "no 'right': ValueError: Failed to sign the token"),
        ("'half", "'half"),
        ("plain\nwords", "plain\nwords"),
    ],
)
def test_a_log_message_without_its_traceback(logged: str, said: str) -> None:
    assert without_traceback(logged) == said


def test_a_failed_sync_shows_no_traceback_and_no_half_secret(make_source, monkeypatch, caplog) -> None:
    secret = "key-" + "s3cret" * 8
    monkeypatch.setenv("SHOP_KEY", secret)
    source = make_source({"orders": "full_refresh_overwrite"}, [stream("orders")], keys={"config": {"key": "${SHOP_KEY}"}})
    log = {"type": "LOG", "log": {"level": "ERROR", "message": f"{'x' * 975} {secret}\n{TRACEBACK}"}}  # cut at 1,000 within the secret
    source.script = [record("orders", {"id": 1}), {"send": log}, {"stderr": f"{'z' * 3980} {secret}\n"}, {"exit": 1}]
    with caplog.at_level(logging.INFO), pytest.raises(ConnectorError, match="exit code 1") as caught:
        source.sync()
    shown = f"{caught.value}\n{caplog.text}"
    assert "key-" not in shown and "s3cret" not in shown
    assert "***" in shown and "Failed to sign the token" in shown
    assert "connector-stderr" not in shown and "jwt/algorithms.py" not in shown
    assert "credentials" in (caught.value.remedy or "")


def test_a_check_says_what_is_wrong_and_no_more(make_source, monkeypatch) -> None:
    from platform_core.ingestion import open_source

    monkeypatch.setenv("SHOP_KEY", 'it\'s "secret"')
    source = make_source({"orders": "full_refresh_overwrite"}, [stream("orders")], keys={"config": {"key": "${SHOP_KEY}"}})
    source.more = {"check": {"status": "FAILED", "message": repr(f'it\'s "secret" is refused\n{TRACEBACK}')}}
    opened = open_source(source.connection, warehouse=source.warehouse, settings=source.settings, connector=source.command)
    with pytest.raises(ConnectorError) as caught, opened as (_, _, discovery, kept):
        discovery.check(source.connection, kept)
    assert caught.value.what == "check failed: *** is refused: ValueError: Failed to sign the token"


def test_a_connector_that_does_not_start_is_said_to_need_another_version(make_source) -> None:
    source = make_source({"orders": "full_refresh_overwrite"}, [stream("orders")], script=complete("orders"))
    (source.folder / "calls").mkdir()  # the double writes there first thing, and falls over
    with pytest.raises(ConnectorError, match=r"spec ended with exit code 1\n.*last words: IsADirectoryError") as caught:
        source.sync()
    assert "another version: this one does not start with Python" in (caught.value.remedy or "")
    assert "Traceback" not in str(caught.value)

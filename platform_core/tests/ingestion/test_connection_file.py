"""Connection files: what is accepted, and one clear error for each thing that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from platform_core.ingestion import ConnectionFileError, check_connections, load_connection, load_connections

GOOD = """\
connector:
  package: airbyte-source-faker
  version: "7.2.1"
config:
  count: ${USERS:-10}
streams:
  - name: users
    sync_mode: incremental_deduped
    primary_key: id
"""

# (what, text to replace, replacement, line of the error, words of the message, words of the remedy)
WRONG = [
    ("an unknown key", "connector:\n", "conector:\n", 1, "unknown key 'conector', did you mean 'connector'?", "config, connector"),
    ("an unknown nested key", "primary_key", "primarykey", 9, "unknown key 'primarykey' in streams[0], did you mean 'primary_key'?", "primary_key"),
    ("an unknown key of the connector", "package:", "packages:", 2, "unknown key 'packages' in connector", "package, version"),
    ("a package and a manifest", "connector:\n", "connector:\n  manifest: ads\n", 1, "names a package and a manifest", "keep one"),
    ("neither package nor manifest", "  package: airbyte-source-faker\n", "", 1, "names neither a package nor a manifest", "manifest:"),
    ("a manifest that is a path", "package: airbyte-source-faker", "manifest: ../ads", 2, "not the name of a manifest", "without its ending"),
    ("a manifest that is not there", "package: airbyte-source-faker", "manifest: ads", 2, "no manifest airbyte/manifests/ads.yaml", "none yet"),
    ("no version", '  version: "7.2.1"\n', "", 1, "connector.version is missing", "add version:"),
    ("a version that is a number", '"7.2.1"', "7.2", 3, "connector.version is a number 7.2, not text", "put it in quotes"),
    ("a version range", '"7.2.1"', '">=7"', 3, "not one exact version", "one release"),
    ("the latest version", '"7.2.1"', "latest", 3, "not one exact version", "one release"),
    ("a package that is a path", "airbyte-source-faker", "../faker", 2, "not a package name", "airbyte-source-faker"),
    ("a connector that is a text", "connector:\n  package: airbyte-source-faker\n  version: \"7.2.1\"\n", "connector: faker\n", 1, "connector is text, not a mapping", "a mapping"),
    ("a config that is a list", "config:\n  count: ${USERS:-10}", "config: [1]", 4, "config is a list, not a mapping", "a mapping"),
    ("no streams", "streams:", "x_streams:", 6, "unknown key 'x_streams', did you mean 'streams'?", "streams"),
    ("an empty list of streams", "streams:\n  - name: users\n    sync_mode: incremental_deduped\n    primary_key: id\n", "streams: []\n", 6, "streams is empty", "name at least one"),
    ("a stream that is a text", "- name: users\n    sync_mode: incremental_deduped\n    primary_key: id", "- users", 7, "streams[0] is text, not a mapping", "a mapping"),
    ("a wrong sync mode", "incremental_deduped", "incremental_dedup", 8, "is 'incremental_dedup', did you mean 'incremental_deduped'?", "full_refresh_overwrite"),
    ("a cursor that is never used", "incremental_deduped", "full_refresh_overwrite\n    cursor_field: id", 7, "cursor_field", "remove cursor_field"),
    ("an empty primary key", "primary_key: id", "primary_key: []", 7, "empty primary_key", "name its fields"),
    ("a primary key of numbers", "primary_key: id", "primary_key: [1]", 9, "streams[0].primary_key[0] is a whole number 1, not text", "put it in quotes"),
    ("a stream that stands twice", "    primary_key: id\n", "  - name: users\n    sync_mode: incremental_append\n", 9, "stream 'users' stands twice (first at line 7)", "keep one"),
    ("an open placeholder", "${USERS:-10}", '"${USERS"', 5, "config.count: the placeholder '${USERS' is not closed", "${NAME}"),
    ("a placeholder without a name", "${USERS:-10}", '"${1}"', 5, "the placeholder '${1}'", "${NAME}"),
    ("a secret in the file", "count: ${USERS:-10}", "api_key: abc123", 5, "looks like a secret", "${SHOP_API_KEY}"),
    ("a nested secret", "count: ${USERS:-10}", "credentials: {client_secret: abc}", 5, "config.credentials.client_secret looks like a secret", "environment variable"),
    ("a wrong cron line", "streams:", "schedule: {cron: every day}\nstreams:", 6, "schedule.cron is 'every day', not a cron line", "five fields"),
    ("a cron line out of range", "streams:", "schedule: {cron: '0 25 * * *'}\nstreams:", 6, "not a cron line", "five fields"),
    ("a schedule of another kind", "streams:", "schedule: daily\nstreams:", 6, "schedule is text, not a mapping", "a mapping"),
    ("a time zone that does not exist", "streams:", "schedule: {cron: '@daily', timezone: Europe/Berlijn}\nstreams:", 6, "'Europe/Berlijn', not a time zone", "Europe/Berlin"),
    ("a time zone that is a path", "streams:", "schedule: {cron: '@daily', timezone: ../../etc}\nstreams:", 6, "not a time zone", "Europe/Berlin"),
    ("a time zone without a cron line", "streams:", "schedule: {timezone: Europe/Berlin}\nstreams:", 6, "a timezone, but no cron line", "add cron:"),
    ("a change that is a text", "streams:", "schedule: {on_change: daily}\nstreams:", 6, "schedule.on_change is text, not true or false", "true or false"),
    ("an unknown schema policy", "streams:", "schema_changes: pausing\nstreams:", 6, "is 'pausing', did you mean 'pause'?", "propagate"),
    ("a schema policy that is a switch", "streams:", "schema_changes: no\nstreams:", 6, "schema_changes is", "propagate"),
    ("a memory limit without a unit", "streams:", "memory_limit: '512'\nstreams:", 6, "'512', not a size", "512MB"),
    ("a memory limit that is a number", "streams:", "memory_limit: 512\nstreams:", 6, "memory_limit is a whole number 512, not text", "quotes"),
    ("a memory limit of nothing", "streams:", "memory_limit: 0GB\nstreams:", 6, "'0GB', not a size", "2GB"),
    ("a timeout that is a text", "streams:", "timeouts: {idle: long}\nstreams:", 6, "timeouts.idle is text, not a number", "a number"),
    ("a timeout of nothing", "streams:", "timeouts: {idle: 0}\nstreams:", 6, "timeouts.idle", "correct the value"),
    ("a key that stands twice", "config:", "connector: {}\nconfig:", 4, "stands twice", "keep one"),
    ("broken YAML", "streams:", "streams: [", 7, "not valid YAML", "syntax"),
    ("an empty file", GOOD, "", 1, "is empty", "write the document"),
    ("a list", GOOD, "- 1\n", 1, "is a list, not a mapping", "connector:"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "domains" / "sales").mkdir(parents=True)
    (tmp_path / "airbyte" / "sales").mkdir(parents=True)
    return tmp_path


def write(folder: Path, text: str, name: str = "sales/shop.yaml") -> Path:
    path = folder / "airbyte" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("case", WRONG, ids=[case[0] for case in WRONG])
def test_each_mistake_is_one_error_with_line_and_remedy(folder, case):
    _, old, new, line, message, remedy = case
    assert old in GOOD
    path = write(folder, GOOD.replace(old, new, 1))
    problems = check_connections(folder)
    assert len(problems) == 1, problems
    first = problems[0]
    assert (first.location.file, first.location.line) == (path, line), first
    assert message in first.message and remedy in first.remedy, first
    with pytest.raises(ConnectionFileError, match=re.escape(f"shop.yaml:{line}: ")):
        load_connections(folder, "sales")


def test_a_good_file_is_read_and_its_hash_follows_its_text(folder):
    path = write(folder, GOOD)
    (connection,) = load_connections(folder, "sales")
    assert (connection.domain, connection.name, connection.id, connection.path) == ("sales", "shop", "sales/shop", path)
    assert connection.streams[0].primary_key == ("id",) and connection.config == {"count": "${USERS:-10}"}
    path.write_text(GOOD + "# a comment\n")
    assert load_connection(path).content_hash != connection.content_hash


def test_the_version_of_a_streams_code_follows_its_declaration_only(folder):
    path = write(folder, GOOD + "  - {name: orders, sync_mode: full_refresh_append}\n")

    def versions(text):
        path.write_text(text)
        connection = load_connection(path)
        return {stream.name: connection.declaration(stream.name) for stream in connection.streams}

    text = path.read_text()
    before = versions(text)
    assert before["users"] != before["orders"]
    assert versions(f"# a comment\n{text}schedule: {{cron: '@daily'}}\nmemory_limit: 1GB\n") == before
    other = versions(text.replace("full_refresh_append", "full_refresh_overwrite"))
    assert other["users"] == before["users"] and other["orders"] != before["orders"]
    for old, new in (("-10}", "-11}"), ('"7.2.1"', '"7.2.2"')):
        changed = versions(text.replace(old, new))
        assert changed["users"] != before["users"] and changed["orders"] != before["orders"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sales/Shop.yaml", "not the name of a connection"),
        ("sales/shop.yml", "not the name of a connection"),
        ("sale/shop.yaml", "no domain 'sale', did you mean 'sales'?"),
    ],
)
def test_files_in_the_wrong_place_are_named(folder, name, message):
    write(folder, GOOD, name)
    (problem,) = check_connections(folder)
    assert message in problem.message and problem.remedy


def test_a_stream_of_two_connections_is_refused_in_the_second(folder):
    write(folder, GOOD, "sales/a.yaml")
    second = write(folder, GOOD, "sales/b.yaml")
    (problem,) = check_connections(folder)
    assert (problem.location.file, problem.location.line) == (second, 7) and "also loaded by a.yaml" in problem.message


def test_locks_and_manifests_are_no_domains(folder):
    write(folder, "x", "locks/airbyte-source-faker-7.2.1.txt")
    (folder / "airbyte" / "manifests").mkdir()
    assert check_connections(folder) == ()


def test_the_connections_of_this_repository_are_sound(repo):
    assert check_connections(repo) == ()
    names = {
        connection.id: [stream.name for stream in connection.streams]
        for d in ("customer", "inventory", "sales")
        for connection in load_connections(repo, d)
    }
    assert names["customer/crm"] == ["users"] and names["inventory/catalog"] == ["products"] and names["sales/shop"] == ["purchases"]


def test_a_domain_without_connections_has_none(folder):
    assert load_connections(folder, "marketing") == []

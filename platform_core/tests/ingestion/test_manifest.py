"""Low-code manifests: what is wrong with them is said before anything runs, and what is right loads from a real HTTP API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from platform_core.ingestion import ConfigurationError, ConnectorError, check_connections, load_connection, run_sync
from platform_core.ingestion.manifest import read_manifest
from platform_core.ingestion.sync import open_source
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

MANIFEST = """\
version: "7.0.0"
type: DeclarativeSource
check:
  type: CheckStream
  stream_names: [spend]
definitions:
  requester: &requester
    type: HttpRequester
    url_base: "{{ config['url'] }}"
    http_method: GET
    authenticator:
      type: BearerAuthenticator
      api_token: "{{ config['api_token'] }}"
    error_handler:
      type: DefaultErrorHandler
      backoff_strategies:
        - type: WaitTimeFromHeader
          header: Retry-After
  spend:
    type: DeclarativeStream
    name: spend
    primary_key: [id]
    retriever:
      type: SimpleRetriever
      requester:
        $ref: "#/definitions/requester"
        path: /spend
      record_selector:
        type: RecordSelector
        extractor: {type: DpathExtractor, field_path: [rows]}
      paginator:
        type: DefaultPaginator
        page_token_option: {type: RequestOption, inject_into: request_parameter, field_name: page}
        page_size_option: {type: RequestOption, inject_into: request_parameter, field_name: size}
        pagination_strategy: {type: PageIncrement, page_size: 3, start_from_page: 1}
    schema_loader: &schema
      type: InlineSchemaLoader
      schema:
        type: object
        properties:
          id: {type: integer}
          cost: {type: number}
          day: {type: string, format: date}
streams:
  - $ref: "#/definitions/spend"
  - type: DeclarativeStream
    name: clicks
    primary_key: [id]
    retriever:
      type: SimpleRetriever
      requester:
        <<: *requester
        path: /clicks
      record_selector:
        type: RecordSelector
        extractor: {type: DpathExtractor, field_path: [rows]}
      paginator:
        type: DefaultPaginator
        page_token_option: {type: RequestOption, inject_into: request_parameter, field_name: after}
        pagination_strategy:
          type: CursorPagination
          cursor_value: "{{ response.get('next') }}"
          stop_condition: "{{ not response.get('next') }}"
    schema_loader: *schema
spec:
  type: Spec
  connection_specification:
    type: object
    required: [url, api_token]
    properties:
      url: {type: string}
      api_token: {type: string, airbyte_secret: true}
"""

VISITS = """
  - type: DeclarativeStream
    name: visits
    primary_key: [[id], [day]]
    incremental_sync:
      type: DatetimeBasedCursor
      cursor_field: day
      datetime_format: "%Y-%m-%d"
      start_datetime: "2026-01-01"
    retriever: {$ref: "#/definitions/spend/retriever"}
    schema_loader:
      type: InlineSchemaLoader
      schema:
        type: [object, "null"]
        properties:
          id: {$ref: "#/definitions/spend/schema_loader/schema/properties/id"}
          day: {$ref: "#/definitions/spend/schema_loader/schema/properties/day", description: of the visit}
"""

# (what, text of VISITS to replace, replacement): what the CDK alone can know
COMPUTED = [
    ("parameters that spread", "    name: visits\n", "    name: visits\n    $parameters: {primary_key: day}\n"),
    ("parameters further in", "    retriever: {", "    retriever: {$parameters: {path: /x}, "),
    ("another retriever", '{$ref: "#/definitions/spend/retriever"}', "{type: AsyncRetriever}"),
    ("a schema from elsewhere", "      type: InlineSchemaLoader", "      type: DynamicSchemaLoader"),
    ("a schema of no type", '        type: [object, "null"]\n', ""),
    ("a cursor by code", "DatetimeBasedCursor", "CustomIncrementalSync"),
    ("a cursor by expression", "cursor_field: day", "cursor_field: \"{{ config['cursor'] }}\""),
    ("a cursor that people choose", "      cursor_field: day", "      allow_catalog_defined_cursor_field: true\n      cursor_field: day"),
    ("a key within a field", "[[id], [day]]", "[[id, day]]"),
    ("files", "    primary_key:", "    file_uploader: {}\n    primary_key:"),
    ("a reference to nothing", "properties/id", "properties/idd"),
    ("a reference to itself", "#/definitions/spend/schema_loader/schema/properties/id", "#/streams/2/schema_loader/schema"),
    ("streams under conditions", "  - type: DeclarativeStream", "  - type: ConditionalStreams"),
]

CONNECTION = """\
connector:
  manifest: ads
config:
  url: ${ADS_URL}
  api_token: ${ADS_TOKEN}
streams:
  - {name: spend, sync_mode: full_refresh_overwrite}
  - {name: clicks, sync_mode: full_refresh_append}
"""

# (what, text of the manifest to replace, replacement, file and line of the error, words of the message, words of the remedy)
WRONG = [
    ("no YAML", "streams:\n  - $ref", "streams: [\n  - $ref", "ads.yaml:45", "not valid YAML", "syntax"),
    ("another type", "type: DeclarativeSource", "type: Declarative", "ads.yaml:2", "has the type 'Declarative'", "type: DeclarativeSource"),
    ("no type", "type: DeclarativeSource\n", "", "ads.yaml:1", "has no type", "type: DeclarativeSource"),
    ("a list", MANIFEST, "- 1\n", "ads.yaml:1", "has no type", "type: DeclarativeSource"),
    ("no version", 'version: "7.0.0"\n', "", "ads.yaml:1", "version is None", "version:"),
    ("a version from the future", '"7.0.0"', '"99.0.0"', "shop.yaml:2", "newer than 7.", 'version: "99.0.0"'),
    ("no check", "check:\n", "checks:\n", "ads.yaml:1", "has no check", "CheckStream"),
    ("a spec without a schema", "connection_specification:", "connection_spec:", "ads.yaml:65", "no connection_specification", "connection_specification"),
    ("a spec that refuses what the CDK adds", "    required: [url", "    additionalProperties: false\n    required: [url", "ads.yaml:69", "no further keys", "remove additional"),
    ("a reference to nothing", "#/definitions/spend", "#/definitions/spent", "ads.yaml:45", "streams[0] of the manifest has no name", "$ref"),
    ("no streams", "\nstreams:\n", "\nx-streams:\n", "ads.yaml:1", "defines no streams", "add streams:"),
    ("a stream that the file selects and nobody defines", "    name: clicks", "    name: click", "shop.yaml:8", "no stream 'clicks', did you mean 'click'?", "spend, click"),
]  # fmt: skip


@dataclass
class Api:
    """A metrics API: pages by number for ``/spend``, by cursor for ``/clicks``; refuses strangers, and now and then everybody."""

    url: str
    token: str = "t0p-secret"
    busy: int = 0
    refresh: str = "refresh-0-secret"
    seen: list[tuple[str, int]] = field(default_factory=list)


@pytest.fixture
def api() -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if self.headers.get("Authorization") != f"Bearer {api.token}":
                self.answer(401, {"error": "who are you?"})
            elif api.busy:
                api.busy -= 1
                self.answer(429, {"error": "slow down"}, {"Retry-After": "1"})
            elif parts.path == "/spend":
                first = (int(query.get("page", "1")) - 1) * int(query["size"])
                self.answer(200, {"rows": [row(n) for n in range(first, min(first + 3, 7))]})
            else:
                first = int(query.get("after", "0"))
                self.answer(200, {"rows": [row(n) for n in range(first, first + 2)], "next": str(first + 2) if first < 4 else None})

        def do_POST(self) -> None:
            """Hands out an access token that is short-lived, for a refresh token that is good for one use."""
            body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if body["refresh_token"] != [api.refresh]:
                self.answer(401, {"error": "this refresh token was used before"})
                return
            number = int(api.refresh.split("-")[1]) + 1
            api.refresh, api.token = f"refresh-{number}-secret", f"access-{number}-secret"
            self.answer(200, {"access_token": api.token, "refresh_token": api.refresh, "expires_in": 1})

        def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            api.seen.append((self.path, status))
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api = Api(f"http://127.0.0.1:{server.server_port}")
        yield api
        server.shutdown()


def row(number: int) -> dict[str, Any]:
    return {"id": number, "cost": number + 0.25, "day": f"2026-11-{number + 1:02}"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One environment of the CDK for all tests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "domains" / "sales").mkdir(parents=True)
    for name, text in (("manifests/ads.yaml", MANIFEST), ("sales/shop.yaml", CONNECTION)):
        path = tmp_path / "airbyte" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize("case", WRONG, ids=[case[0] for case in WRONG])
def test_each_mistake_is_one_error_with_line_and_remedy(folder, case):
    _, old, new, place, message, remedy = case
    assert old in MANIFEST
    (folder / "airbyte/manifests/ads.yaml").write_text(MANIFEST.replace(old, new, 1))
    (problem,) = check_connections(folder)
    assert str(problem.location).endswith(place), problem
    assert message in problem.message and remedy in problem.remedy, problem


def test_a_manifest_that_is_not_there_is_met_with_a_suggestion(folder):
    (folder / "airbyte/sales/shop.yaml").write_text(CONNECTION.replace("manifest: ads", "manifest: adz"))
    (problem,) = check_connections(folder)
    assert "adz.yaml, did you mean 'ads'?" in problem.message and problem.location.line == 2


def test_the_manifests_text_is_part_of_the_connections_version(folder):
    path, manifest = folder / "airbyte/sales/shop.yaml", folder / "airbyte/manifests/ads.yaml"
    before = load_connection(path)
    manifest.write_text(MANIFEST + "# a comment\n")
    after = load_connection(path)
    assert before.content_hash != after.content_hash
    assert before.connector_label == "manifest ads (airbyte-cdk 7.39.1)"
    assert before.manifest and before.manifest.streams == ("spend", "clicks")


@pytest.mark.parametrize(("old", "new"), [case[1:] for case in COMPUTED], ids=[case[0] for case in COMPUTED])
def test_what_only_the_cdk_can_know_is_left_to_it(tmp_path, old, new):
    assert old in VISITS
    (tmp_path / "ads.yaml").write_text(MANIFEST.replace("\nspec:\n", f"{VISITS.replace(old, new, 1)}\nspec:\n"))
    manifest, _ = read_manifest(tmp_path / "ads.yaml")
    assert manifest is None or manifest.catalog is None


def test_two_apis_with_pages_cursors_a_token_and_a_full_house(folder, repo, database: Warehouse, api, monkeypatch, home):
    monkeypatch.setenv("ADS_URL", api.url)
    monkeypatch.setenv("ADS_TOKEN", api.token)
    (folder / "airbyte" / "locks").symlink_to(repo / "airbyte" / "locks")
    settings = Settings.load({"MESH_REPO": str(folder), "MESH_HOME": str(home)})
    connection = load_connection(folder / "airbyte/sales/shop.yaml")

    api.busy = 1
    result = run_sync(connection, warehouse=database, settings=settings)
    assert {name: stream.rows for name, stream in result.streams.items()} == {"spend": 7, "clicks": 6}
    statuses = [status for _, status in api.seen]
    assert statuses.count(429) == 1 and set(statuses) == {200, 429}
    assert {path for path, status in api.seen if status == 200} == {
        "/spend?size=3", "/spend?page=2&size=3", "/spend?page=3&size=3", "/clicks", "/clicks?after=2", "/clicks?after=4",
    }  # fmt: skip
    with database.connect_domain("sales", autocommit=True) as sales:
        rows = sales.execute("SELECT id, cost::text, day::text FROM sales_raw.spend ORDER BY id").fetchall()
        assert rows == [(n, f"{n}.25", f"2026-11-{n + 1:02}") for n in range(7)]
        (told,) = sales.execute("SELECT connector FROM mesh.syncs").fetchall()
        assert told == ("manifest ads (airbyte-cdk 7.39.1)",)
    assert not (settings.home / "connectors/cache/airbyte-cdk-7.39.1").exists(), "spec and catalog are the manifest's own"

    # The CDK itself would have said the same of the streams.
    (folder / "airbyte/manifests/ads.yaml").write_text(MANIFEST.replace("\nspec:\n", f"{VISITS}\nspec:\n"))
    connection = load_connection(connection.path)
    with open_source(connection, warehouse=database, settings=settings) as (_, _, discovery, kept):
        assert connection.manifest and len(connection.manifest.catalog["streams"]) == 3
        assert discovery.catalog(connection, kept, refresh=True) == connection.manifest.catalog

    # A stranger's token: the CDK's own words reach the person, the token does not.
    monkeypatch.setenv("ADS_TOKEN", "wr0ng-secret")
    with pytest.raises(ConnectorError) as caught:
        run_sync(connection, warehouse=database, settings=settings, streams=["spend"])
    assert "wr0ng-secret" not in str(caught.value) and "manifest ads" in str(caught.value)

    # The manifest's own spec is the judge of the configuration.
    (folder / "airbyte/sales/shop.yaml").write_text(CONNECTION.replace("  url: ${ADS_URL}\n", ""))
    with pytest.raises(ConfigurationError, match=r"url is required"):
        run_sync(load_connection(folder / "airbyte/sales/shop.yaml"), warehouse=database, settings=settings)


OAUTH = """\
    authenticator:
      type: OAuthAuthenticator
      client_id: c
      client_secret: s
      refresh_token: "{{ config['login']['refresh_token'] }}"
      token_refresh_endpoint: "{{ config['url'] }}/token"
      refresh_token_updater:
        access_token_config_path: [login, access_token]
        refresh_token_config_path: [login, refresh_token]
        token_expiry_date_config_path: [login, expires]
"""


def test_a_refresh_token_that_is_good_for_one_use_lasts_over_syncs(folder, repo, database: Warehouse, api, monkeypatch, home, caplog):
    """The CDK reports each new token by a CONTROL message; the environment still holds the first one."""
    monkeypatch.setenv("ADS_URL", api.url)
    monkeypatch.setenv("ADS_TOKEN", api.refresh)
    (folder / "airbyte" / "locks").symlink_to(repo / "airbyte" / "locks")
    begin, end = MANIFEST.index("    authenticator:"), MANIFEST.index("    error_handler:")
    manifest = (MANIFEST[:begin] + OAUTH + MANIFEST[end:]).replace("api_token]", "login]")
    manifest = manifest.replace("api_token: {type: string, airbyte_secret: true}", "login: {type: object}")
    (folder / "airbyte/manifests/ads.yaml").write_text(manifest)
    path = folder / "airbyte/sales/shop.yaml"
    path.write_text(CONNECTION.replace("api_token: ${ADS_TOKEN}", "login: {refresh_token: '${ADS_TOKEN}'}"))
    settings = Settings.load({"MESH_REPO": str(folder), "MESH_HOME": str(home)})
    for _ in range(2):
        used = api.refresh
        result = run_sync(load_connection(path), warehouse=database, settings=settings, streams=["spend"])
        assert result.streams["spend"].rows == 7 and api.refresh != used
    with database.connect_domain("sales", autocommit=True) as sales:
        ((kept,),) = sales.execute("SELECT config FROM mesh.connector_config").fetchall()
    assert kept["login"]["refresh_token"] == api.refresh and set(kept) == {"url", "login"}
    assert "-secret" not in caplog.text

"""Every mask on every type it fits, as reader, personal-data reader, owner and stranger; what a reader can find out beyond."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import asdict
from typing import Any

import psycopg
import pytest
from masked_port import OWNER, READER, acting_as, clear_reader, fill, mask_table, person, rows, settle
from port_bench import Port
from psycopg import sql
from psycopg.types.json import Jsonb

from platform_core.contracts.masking import NULL, Mask, misfit
from platform_core.publishing import PublishingError
from platform_core.publishing.mask_key import use_mask_key
from platform_core.settings import Settings
from platform_core.warehouse import apply

pytestmark = pytest.mark.timeout(90)
HASH, YEAR = Mask("hash"), Mask("year")
EMAIL = Mask("partial", first=1, domain=True)
PHONE = Mask("partial", first=2, last=2)
# mask, type, values and what stands in their place, both as Postgres prints them in UTC
CASES: list[tuple[Mask, str, dict[str, str | None]]] = [
    (EMAIL, "text", {"rosa@example.com": "r***@example.com", "ann@x.org": "***@x.org", "a@b@c.de": "***@c.de", "no address": "***", "": "***", "@": "***@", "müller@x.de": "m***@x.de"}),
    (EMAIL, "character varying(12)", {"rosa@a.com": "r***@a.com", "rosa@abc.com": "r***@abc.com", "rosa1@ab.com": "r***@ab.com"}),
    (EMAIL, "character varying(8)", {"a@bc.com": "***@bc.c", "roza@b.c": "r***@b.c"}),
    (PHONE, "text", {"17637657633": "17***33", "1234567": "12***67", "123456": "***", "": "***", "😀😀abcd😀😀": "😀😀***😀😀"}),
    (PHONE, "character varying(2)", {"12": "**"}),
    (PHONE, "character(9)", {"1234567": "12***67  "}),
    (Mask("partial", domain=True), "text", {"rosa@example.com": "***@example.com"}),
    (YEAR, "date", {"1985-07-31": "1985-01-01", "infinity": None, "0044-03-15 BC": None, "9999-12-31": "9999-01-01"}),
    (YEAR, "timestamp without time zone", {"1985-07-31 12:00:00.5": "1985-01-01 00:00:00", "-infinity": None}),
    (YEAR, "timestamp(3) with time zone", {"1985-01-01 00:30:00+02": "1984-01-01 00:00:00+00", "294276-12-31": None}),
    (Mask("bucket", years=10), "date", {"1985-07-31": "1980-01-01", "0005-01-01": "0001-01-01"}),
    (Mask("bucket", months=3), "date", {"1985-07-31": "1985-07-01", "1985-12-31": "1985-10-01", "1985-03-01": "1985-01-01"}),
    (Mask("bucket", days=7), "date", {"2026-11-21": "2026-11-16", "1999-12-31": "1999-12-27"}),
    (Mask("bucket", months=1), "timestamp with time zone", {"2026-11-21 23:59:00+00": "2026-11-01 00:00:00+00"}),
    (Mask("bucket", width="10"), "smallint", {"47": "40", "-1": "-10", "-32768": None, "32767": "32760", "0": "0"}),
    (Mask("bucket", width="10"), "integer", {"47": "40", "-2147483648": None, "2147483647": "2147483640"}),
    (Mask("bucket", width="1000"), "bigint", {"4711": "4000", "-9223372036854775808": None, "9223372036854775807": "9223372036854775000"}),
    (Mask("bucket", width="10"), "numeric", {"47.5": "40.0", "-0.5": "-10.0", "NaN": None, "Infinity": None, "99999999999999999999.9": "99999999999999999990.0"}),
    (Mask("bucket", width="0.5"), "numeric(4,2)", {"47.74": "47.50", "-99.99": None, "99.99": "99.50"}),
    (Mask("bucket", width="0.5"), "double precision", {"2.74": "2.5", "NaN": None, "1e300": None, "-0.1": "-0.5"}),
    (Mask("bucket", width="10"), "real", {"47.5": "40", "3e38": None}),
    *((NULL, kind, {value: None}) for kind, value in (
        ("text", "x"), ("boolean", "true"), ("jsonb", '{"a": 1}'), ("json", "[]"), ("uuid", "00000000-0000-0000-0000-000000000001"), ("bytea", "\\x00"),
        ("integer[]", "{1}"), ("numeric(12,2)", "1.5"), ("time without time zone", "12:00:00"), ("interval", "1 day"), ("inet", "10.0.0.1"), ("date", "2026-01-01"),
        ("character varying(20)", "x"), ("timestamp(3) with time zone", "2026-01-01"), ("bit(3)", "101"),
    )),
]  # fmt: skip
HASHED = {"text": "rosa@example.com", "character varying(40)": "rosa@example.com", "character varying(20)": "rosa@example.com", "character(32)": "rosa@example.com",
          "uuid": "00000000-0000-0000-0000-00000000000a", "bytea": "\\x00ff", "bigint": "4711"}  # fmt: skip


def test_what_each_role_sees_of_each_mask_on_each_type(port: Port) -> None:
    columns = {f"c{at}": (kind, mask) for at, (mask, kind, _) in enumerate(CASES)}
    mask_table(port, {"number": ("integer", None), **columns})
    fill(port, {"number": ("integer", ["1"]), **{f"c{at}": (kind, [*values, None]) for at, (_, kind, values) in enumerate(CASES)}})
    port.publish()
    shown = ", ".join(f"{name}::text" for name in columns)  # char(n) loses its blanks: asked for apart
    with person(port) as stranger, clear_reader(port) as clear:
        for role in (READER, clear, OWNER):
            with acting_as(port, role) as connection:
                connection.execute("SET TIME ZONE 'UTC'")
                answer = connection.execute(f"SELECT {shown} FROM sales_orders.orders".encode()).fetchall()
                types = connection.execute("SELECT * FROM sales_orders.orders LIMIT 0").description
            seen = {name: [row[at] for row in answer] for at, name in enumerate(columns)}
            assert types is not None
            for at, (mask, kind, values) in enumerate(CASES):
                filled = len(values) + 1
                if role == READER:
                    expected = [value.rstrip() if value and kind.startswith("character(") else value for value in values.values()]
                    assert seen[f"c{at}"][:filled] == [*expected, None], f"{mask} on {kind} for {role}"
                else:
                    plain = port.admin(
                        f"SELECT v::{kind}::text FROM unnest(%s::text[]) AS v",
                        list(values),  # the type's own spelling
                    )
                    assert len(plain) == len(values)
                    assert [value is None for value in seen[f"c{at}"][:filled]] == [False] * len(values) + [True], (
                        f"{mask} on {kind} for {role}"
                    )
                    if "time zone" not in kind:
                        assert seen[f"c{at}"][: len(values)] == [value for (value,) in plain], f"{mask} on {kind} for {role}"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(port, stranger, "SELECT * FROM sales_orders.orders")
    printed = port.admin(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'sales_orders.orders'::regclass AND attnum > 1 ORDER BY attnum"
    )
    assert printed == [(name, kind) for name, (kind, _) in columns.items()], "a mask changed a column's type"


EXTREMES = {
    "text": ["", " ", "@", "@@", "a@", "é" * 1000, "\t\n", "***"],
    "character varying(20)": ["", "x" * 20], "character varying(3)": ["", "abc"], "character(5)": ["", "abcde"],
    "smallint": ["-32768", "32767", "0", "-1"], "integer": ["-2147483648", "2147483647", "0", "-1"],
    "bigint": ["-9223372036854775808", "9223372036854775807", "0", "-1"],
    "numeric": ["NaN", "Infinity", "-Infinity", "1e131071", "-1e131071", "1e-16383", "0", "-0.000001"],
    "numeric(4,2)": ["99.99", "-99.99", "NaN", "0"], "numeric(3,0)": ["999", "-999", "NaN"], "numeric(12,2)": ["9999999999.99", "-9999999999.99"],
    "real": ["NaN", "Infinity", "-Infinity", "3.4e38", "-3.4e38", "1e-45", "-0"],
    "double precision": ["NaN", "Infinity", "-Infinity", "1.7e308", "-1.7e308", "5e-324", "-0"],
    "date": ["infinity", "-infinity", "4713-11-24 BC", "5874897-12-31", "0001-01-01", "0001-01-01 BC", "9999-12-31", "2000-02-29"],
    "timestamp without time zone": ["infinity", "-infinity", "4713-11-24 BC", "294276-12-31 23:59:59", "0001-01-01", "9999-12-31 23:59:59.999999"],
    "timestamp with time zone": ["infinity", "-infinity", "4713-11-24 BC", "294276-12-31", "0001-01-01 00:00+14", "9999-12-31 23:59:59.999999-14"],
    "uuid": ["00000000-0000-0000-0000-000000000000"], "bytea": ["", "\\x00"], "boolean": ["true"], "jsonb": ["null", "{}"], "integer[]": ["{}"],
}  # fmt: skip
EVERY = [NULL, HASH, YEAR, EMAIL, PHONE, Mask("partial", first=20, last=20, domain=True), Mask("partial", domain=True)]
EVERY += [Mask("bucket", width=width) for width in ("1", "7", "0.5", "0.000001", "32767", "2147483647", "999999999999")]
EVERY += [
    Mask("bucket", days=1),
    Mask("bucket", days=36500),
    Mask("bucket", months=12),
    Mask("bucket", years=1),
    Mask("bucket", years=1000),
]


def test_no_value_makes_a_mask_fail(port: Port) -> None:
    """An error would take the port from its readers, and could name what is hidden."""
    tried = 0
    with port.warehouse.connect_platform(autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'Pacific/Kiritimati'")
        kinds = ", ".join(f'"{kind}" {kind}' for kind in EXTREMES)
        connection.execute(f"CREATE TEMPORARY TABLE kinds ({kinds})".encode())
        for kind, values in EXTREMES.items():
            for mask in EVERY:
                made = _expression(connection, mask, kind)
                assert (made is None) == (misfit(mask, kind) is not None), f"lint and Postgres differ: {mask} on {kind}"
                if made is not None:
                    made = made.replace("{", "{{").replace("}", "}}")
                    query = f"SELECT {made}, pg_typeof({made})::text FROM (SELECT w::{kind} AS v FROM unnest({{}}::text[]) AS w) AS v"
                    found = connection.execute(sql.SQL(query).format(sql.Literal(values))).fetchall()  # type: ignore[arg-type]
                    assert len(found) == len(values), (mask, kind)
                    assert {of for _, of in found} == {re.sub(r"\(\d[\d,]*\)", "", kind)}, (mask, kind)
                    tried += 1
    assert tried > 100


def _expression(connection: psycopg.Connection, mask: Mask, kind: str) -> str | None:
    """What stands in a view for the column ``v`` of the type; None when the mask does not fit."""
    row = connection.execute(
        """SELECT mesh.masked(%s, 'v', a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
           WHERE c.relname = 'kinds' AND a.attname = %s""",
        (Jsonb(asdict(mask)), kind),
    ).fetchone()
    assert row is not None
    return row[0]


def test_a_hash_is_hmac_sha256_of_the_values_text_cut_to_the_type(port: Port) -> None:
    columns = {f"c{at}": (kind, HASH) for at, kind in enumerate(HASHED)}
    mask_table(port, {"number": ("integer", None), **columns})
    apply(port.warehouse, port.mesh)
    fill(port, {"number": ("integer", ["1"]), **{f"c{at}": (kind, [value, None]) for at, (kind, value) in enumerate(HASHED.items())}})
    port.publish()
    secret = _key(port)
    digest = {kind: _hmac(secret, "00ff" if kind == "bytea" else value) for kind, value in HASHED.items()}
    expected: list[Any] = [
        digest["text"].hex()[:32], digest["text"].hex()[:32], digest["text"].hex()[:20], digest["text"].hex()[:32],
        digest["uuid"].hex()[:32], digest["bytea"], int.from_bytes(digest["bigint"][:8], "big", signed=True),
    ]  # fmt: skip
    first, second = rows(port, READER, f"SELECT {', '.join(columns)} FROM sales_orders.orders")
    found = [value.hex if hasattr(value, "hex") and not isinstance(value, bytes) else value for value in first]
    assert found == expected
    assert set(second) == {None}, "what is not known has no hash"
    with clear_reader(port) as clear:
        seen = rows(port, clear, f"SELECT {', '.join(columns)} FROM sales_orders.orders")[0]
    assert seen[0] == "rosa@example.com" and seen[6] == 4711


def test_hashes_join_over_publications_and_a_new_key_changes_them_all(port: Port) -> None:
    mask_table(port, {"number": ("integer", None), "email": ("text", HASH), "again": ("text", HASH)})
    apply(port.warehouse, port.mesh)
    values = ["a@x.de", "b@x.de"]
    shown: list[Any] = []
    for _ in range(2):
        fill(port, {"number": ("integer", ["1", "2"]), "email": ("text", values), "again": ("text", values)})
        port.publish()
        assert settle(port) == []
        shown.append(rows(port, READER, "SELECT email, again FROM sales_orders.orders ORDER BY number"))
    assert shown[0] == shown[1], "another publication, another hash"
    assert all(left == right for left, right in shown[0])
    assert rows(port, READER, f"SELECT number FROM sales_orders.orders WHERE email = '{shown[0][1][0]}'") == [(2,)]
    assert port.admin("SELECT mesh.rotate_mask_key()") == [(True,)]
    after = rows(port, READER, "SELECT email, again FROM sales_orders.orders ORDER BY number")
    assert not {value for row in after for value in row} & {value for row in shown[0] for value in row}
    assert all(left == right for left, right in after), "two columns with two keys"
    assert settle(port) == [], "a view knows the key"
    assert port.admin("SELECT mesh.set_mask_key('0123456789abcdef'), mesh.set_mask_key('0123456789abcdef')") == [(True, False)]
    assert _key(port) == b"0123456789abcdef"
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="needs 16"):
        port.admin("SELECT mesh.set_mask_key('short')")


def test_a_key_of_the_environment_is_taken_over_once_and_stands_in_no_log(port: Port, caplog: pytest.LogCaptureFixture) -> None:
    secret = "correct horse battery staple"
    assert Settings.load({"MESH_REPO": "/", "MESH_MASK_KEY": secret}).mask_key == secret
    assert secret not in repr(Settings.load({"MESH_REPO": "/", "MESH_MASK_KEY": secret}))
    with port.warehouse.connect_platform(autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET log_statement = 'all'".encode())
    assert (use_mask_key(port.warehouse, secret), use_mask_key(port.warehouse, secret), use_mask_key(port.warehouse, None)) == (
        True,
        False,
        False,
    )
    assert _key(port) == secret.encode()
    assert apply(port.warehouse, port.mesh) == () and _key(port) == secret.encode(), "apply keeps it"
    with pytest.raises(PublishingError, match="5 bytes") as caught:
        use_mask_key(port.warehouse, "short")
    assert "short" not in str(caught.value)
    assert port.warehouse.server is not None
    logs = [path for path in port.warehouse.server.folder.rglob("*") if path.is_file() and "log" in path.name.lower()]
    written = b"".join(path.read_bytes() for path in logs)
    assert b"COPY given_mask_key" in written, "the statements are logged"
    assert secret.encode() not in written and secret.encode().hex().encode() not in written


def test_nobody_but_the_platform_gets_at_the_key_and_readers_cannot_ask_for_the_hash_of_a_guess(port: Port) -> None:
    mask_table(port, {"number": ("integer", None), "email": ("text", HASH)})
    apply(port.warehouse, port.mesh)
    fill(port, {"number": ("integer", ["1"]), "email": ("text", ["rosa@example.com"])})
    port.publish()
    hidden = {bytes(value).hex() for row in port.admin("SELECT inner_pad, outer_pad, pass FROM mesh.mask_keys") for value in row}
    hidden.add(_key(port).hex())
    with person(port, READER) as analyst, clear_reader(port) as clear:
        for role in (analyst, READER, clear, OWNER, "sales_job", "marketing_owner", "mesh_member"):
            with acting_as(port, role) as connection:
                for statement in (
                    "SELECT inner_pad FROM mesh.mask_keys", "SELECT * FROM mesh.mask_keys", "TABLE mesh.mask_keys",
                    "UPDATE mesh.mask_keys SET pass = ''", "DELETE FROM mesh.mask_keys", "INSERT INTO mesh.mask_keys VALUES ('x', '', '', '')",
                    "SELECT mesh.set_mask_key('0123456789abcdef')", "SELECT mesh.rotate_mask_key()", "UPDATE mesh.mask_pass SET pass = ''",
                    "SELECT lo_import('/etc/passwd')",
                ):  # fmt: skip
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(statement.encode())
                        pytest.fail(f"{role}: {statement}")
                readable = " ".join(
                    str(row)
                    for query in (
                        "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relname = 'orders' AND relkind = 'v'", "SELECT definition FROM pg_views",
                        "SELECT ev_action::text FROM pg_rewrite",
                        "SELECT prosrc, proconfig, prosqlbody::text FROM pg_proc", "SELECT * FROM pg_stats WHERE schemaname = 'mesh'",
                        "SELECT name, setting FROM pg_settings", "SELECT query FROM pg_stat_activity", "SELECT * FROM pg_policies",
                        "SELECT description FROM pg_description", "SELECT * FROM pg_prepared_statements",
                    )
                    for row in connection.execute(query.encode())
                )  # fmt: skip
                assert not [secret for secret in hidden if secret in readable], role
        for role in (analyst, READER):
            with acting_as(port, role) as connection:
                plan = "\n".join(row[0] for row in connection.execute("EXPLAIN (ANALYZE, VERBOSE) SELECT email FROM sales_orders.orders"))
                assert "keyed_hash" in plan and not [secret for secret in hidden if secret in plan]
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("SELECT pass FROM mesh.mask_pass")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("SELECT mesh.keyed_hash('rosa@example.com', '\\x00')")
    for role in (OWNER, "sales_job", "marketing_owner"):  # who publishes hashes has no more than who does not
        with acting_as(port, role) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT pass FROM mesh.mask_pass")
            assert connection.execute("SELECT mesh.keyed_hash('rosa@example.com', '\\x00')").fetchall() == [(None,)]


def test_a_mask_that_was_applied_holds_until_the_next_apply_whatever_is_published(port: Port) -> None:
    """A publication may hide more than was applied, and never less: a job that is not to be trusted cannot unmask its own port."""
    hidden = {"number": ("integer", None), "email": ("text", EMAIL)}
    mask_table(port, hidden)
    assert apply(port.warehouse, port.mesh) == (), "masks are on record, and no step of their own"
    seen: list[Any] = []
    for mask in (EMAIL, None, HASH, NULL, Mask("partial", first=20)):
        mask_table(port, {**hidden, "email": ("text", mask)})
        fill(port, {"number": ("integer", ["1"]), "email": ("text", ["rosa@example.com"])})
        port.publish()
        seen += rows(port, READER, "SELECT email FROM sales_orders.orders")[0]
    hashed = seen.pop(2)
    assert seen == ["r***@example.com", "r***@example.com", None, "r***@example.com"]
    assert re.fullmatch("[0-9a-f]{32}", hashed), "a first hash needs no grant"
    mask_table(port, {**hidden, "email": ("text", None)})
    assert settle(port) == ["replace view sales_orders.orders"]
    assert rows(port, READER, "SELECT email FROM sales_orders.orders") == [("rosa@example.com",)]


def test_functions_and_casts_of_a_reader_meet_masked_values_only(port: Port) -> None:
    """Postgres may run a reader's cheap filter below a view, before everything else: the mask is in the column, so it sees the mask."""
    mask_table(
        port,
        {"number": ("integer", None), "email": ("text", EMAIL), "phone": ("text", HASH), "born": ("date", YEAR), "pay": ("integer", NULL)},
    )
    apply(port.warehouse, port.mesh)
    fill(port, {
        "number": ("integer", ["1", "2"]), "email": ("text", ["rosa@example.com", "carl@example.com"]), "phone": ("text", ["4917612345", "4917699999"]),
        "born": ("date", ["1985-07-31", "1990-02-03"]), "pay": ("integer", ["70000", "50000"]),
    })  # fmt: skip
    port.publish()
    secrets = ("rosa", "carl", "12345", "99999", "07-31", "02-03", "70000", "50000")
    with port.warehouse.connect_domain("marketing", autocommit=True) as connection:
        connection.execute(
            """CREATE FUNCTION marketing_build.peek(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
               $$ BEGIN RAISE NOTICE 'saw %', value; RETURN true; END $$"""
        )
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA marketing_build TO {}").format(sql.Identifier(READER)))
        connection.execute(sql.SQL("GRANT EXECUTE ON FUNCTION marketing_build.peek TO {}").format(sql.Identifier(READER)))
    notices: list[str] = []
    with acting_as(port, READER) as connection:
        connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
        for name in ("email", "phone", "born", "pay"):
            connection.execute(f"SELECT number FROM sales_orders.orders WHERE marketing_build.peek({name}::text)".encode())
            connection.execute(f"SELECT max({name}) FROM sales_orders.orders GROUP BY marketing_build.peek({name}::text)".encode())
        errors: list[str] = []
        for query in (
            "SELECT * FROM sales_orders.orders WHERE email::integer = 1", "SELECT email::uuid FROM sales_orders.orders",
            "SELECT * FROM sales_orders.orders ORDER BY (phone || 'x')::bigint", "SELECT 1 / (CASE WHEN email LIKE 'rosa%' THEN 0 ELSE 1 END) FROM sales_orders.orders",
        ):  # fmt: skip
            try:
                connection.execute(query.encode())
            except psycopg.DataError as error:
                errors.append(str(error))
        found = connection.execute(
            """SELECT count(*) FILTER (WHERE email = 'rosa@example.com'), count(*) FILTER (WHERE born = '1985-07-31'), count(*) FILTER (WHERE pay > 60000),
                      count(*) FILTER (WHERE phone = '4917612345') FROM sales_orders.orders"""
        ).fetchall()
        plan = str(
            connection.execute("EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM sales_orders.orders WHERE email = 'rosa@example.com'").fetchall()
        )
    assert len(notices) == 16 and len(errors) == 3
    assert not [(secret, text) for text in [*notices, *errors] for secret in secrets if secret in text]
    assert found == [(0, 0, 0, 0)], "a filter on a masked column compares what is hidden"
    assert "actual time" in plan and "rows=0" in plan


def test_statistics_and_comments_tell_a_reader_nothing_of_masked_values(port: Port) -> None:
    mask_table(port, {"number": ("integer", None), "email": ("text", EMAIL)})
    fill(
        port,
        {"number": ("integer", [str(at) for at in range(200)]), "email": ("text", ["rosa@example.com"] * 150 + ["carl@example.com"] * 50)},
    )
    port.publish()
    assert port.admin("SELECT count(*) > 0 FROM pg_stats WHERE tablename LIKE 'orders__%%' AND most_common_vals::text LIKE '%%rosa%%'") == [
        (True,)
    ]
    with person(port, READER) as analyst, acting_as(port, analyst) as connection:
        seen = connection.execute("SELECT * FROM pg_stats WHERE schemaname LIKE 'sales%'").fetchall()
        seen += connection.execute("SELECT * FROM pg_stats_ext WHERE schemaname LIKE 'sales%'").fetchall()
        assert seen == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM pg_statistic")
        planned = {
            guess: [
                row[0] for row in connection.execute(f"EXPLAIN SELECT number FROM sales_orders.orders WHERE email = '{guess}'".encode())
            ]
            for guess in ("rosa@example.com", "carl@example.com", "nobody@example.com")
        }
        texts = {re.sub(r"'\w+@example.com'", "", "\n".join(plan)) for plan in planned.values()}
        assert len(texts) == 1, "the planner's estimate depends on what is hidden"


def _key(port: Port) -> bytes:
    ((padded,),) = port.admin("SELECT inner_pad FROM mesh.mask_keys WHERE domain = ''")
    return bytes(byte ^ 0x36 for byte in padded).rstrip(b"\x00")


def _hmac(secret: bytes, value: str) -> bytes:
    return hmac.new(secret, value.encode(), hashlib.sha256).digest()

"""Every format that people drop, as programs really write it, and what its values become."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from dropped_inbox import Inbox

WIDE = "id,zip,price,day,at,ok,note\n1,00123,12.50,2026-03-01,2026-03-01T08:00:00Z,true,\n2,45678,0.1,2026-03-02,2026-03-01 09:00:00+02:00,FALSE,x y\n"


def test_types_are_found_in_the_content(inbox: Inbox) -> None:
    inbox.put("a.csv", WIDE)
    result = inbox.look()
    assert (result.rows, result.table) == (2, "sales_raw.by_hand")
    assert inbox.types() == {
        "_file": "text", "_file_row": "bigint", "id": "bigint", "zip": "text", "price": "numeric", "day": "date",
        "at": "timestamp with time zone", "ok": "boolean", "note": "text",
    }  # fmt: skip
    assert inbox.rows("_file, _file_row, id, zip, price, day, at, ok, note") == [
        ("a.csv", 2, 1, "00123", Decimal("12.5"), date(2026, 3, 1), datetime(2026, 3, 1, 8, tzinfo=UTC), True, None),
        ("a.csv", 3, 2, "45678", Decimal("0.1"), date(2026, 3, 2), datetime(2026, 3, 1, 7, tzinfo=UTC), False, "x y"),
    ]
    assert inbox.rows("DISTINCT _airbyte_meta -> 'changes'", "") == [([],)]


# (text in the file, type of its column, value in the table)
TEXTS: list[tuple[str, str, Any]] = [
    ("0", "bigint", 0), ("-7", "bigint", -7), ("007", "text", "007"), ("+49", "text", "+49"), ("1e5", "text", "1e5"),
    ("12E4", "text", "12E4"), ("-0", "text", "-0"), ("NaN", "text", "NaN"), ("1,5", "text", "1,5"), ("٣", "text", "٣"),
    ("9223372036854775808", "numeric", Decimal("9223372036854775808")), ("0.30000000000000004441", "numeric", Decimal("0.30000000000000004441")),
    ("2026-02-30", "text", "2026-02-30"), ("31.12.2026", "text", "31.12.2026"), ("yes", "text", "yes"), ("True", "boolean", True),
    ("ß🦊\\t", "text", "ß🦊\\t"), ("   padded ", "text", "   padded "),
]  # fmt: skip


def test_a_text_is_a_number_only_when_nothing_is_lost(inbox: Inbox) -> None:
    inbox.put("a.csv", ";".join(f"c{number}" for number in range(len(TEXTS))) + "\n" + ";".join(f'"{text}"' for text, _, _ in TEXTS))
    inbox.look()
    assert {text: inbox.types()[f"c{number}"] for number, (text, _, _) in enumerate(TEXTS)} == {text: type_ for text, type_, _ in TEXTS}
    (row,) = inbox.rows(", ".join(f"c{number}" for number in range(len(TEXTS))))
    assert dict(zip([text for text, _, _ in TEXTS], row, strict=True)) == {text: stored for text, _, stored in TEXTS}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_separator_is_found_out(inbox: Inbox, delimiter: str) -> None:
    lines = [["name", "amount", "note"], ["a", "1", '"one, two; three | four"'], ["b", "2", '"on\ntwo lines"']]
    inbox.put("a.csv", "\r\n".join(delimiter.join(line) for line in lines))
    inbox.look()
    assert inbox.rows("_file_row, name, amount, note") == [(2, "a", 1, "one, two; three | four"), (3, "b", 2, "on\ntwo lines")]


def test_numbers_with_a_comma_do_not_hide_the_semicolon(inbox: Inbox) -> None:
    inbox.declaration = {"options": {"decimal": ",", "date_format": "%d.%m.%Y"}}
    inbox.put("a.csv", "Tag;Betrag;Anteil\n31.12.2026;1.234,50;7,5\n01.01.2027;99;-0,25\n")
    inbox.look()
    assert inbox.rows('"Tag", "Betrag", "Anteil"') == [
        (date(2026, 12, 31), Decimal("1234.5"), Decimal("7.5")),
        (date(2027, 1, 1), Decimal(99), Decimal("-0.25")),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_the_encoding_is_found_out(inbox: Inbox, encoding: str) -> None:
    inbox.put("a.csv", "größe,preis\nübergroß,5 €\n".encode(encoding))
    inbox.look()
    assert inbox.rows('"größe", preis') == [("übergroß", "5 €")]


@pytest.mark.parametrize("first", ["sep=|", '"sep=|"', "SEP=|"])
def test_a_first_line_for_excel_names_the_separator(inbox: Inbox, first: str) -> None:
    inbox.put("a.csv", f"{first}\r\nid|name\r\n1|a,b;c\r\n")
    inbox.look()
    assert inbox.rows("_file_row, id, name") == [(3, 1, "a,b;c")]


def test_empty_lines_and_separators_at_the_end_are_nothing(inbox: Inbox) -> None:
    inbox.put("a.csv", "\na,b,,\n\n1,2,,\n,,,\n3,4\n\n")
    inbox.look()
    assert inbox.rows("_file_row, a, b") == [(4, 1, 2), (6, 3, 4)]


def test_a_header_below_a_title(inbox: Inbox) -> None:
    inbox.declaration = {"options": {"header_row": 3, "delimiter": ";"}}
    inbox.put("a.csv", "Report of March;;\n;;\nid;amount\n1;5\n")
    inbox.look()
    assert inbox.rows("_file_row, id, amount") == [(4, 1, 5)]


def test_types_can_be_said(inbox: Inbox) -> None:
    inbox.declaration = {"options": {"types": {"code": "text", "n": "number"}}}
    inbox.put("a.csv", "code,n\n123,5\n")
    inbox.look()
    assert (inbox.types()["code"], inbox.types()["n"]) == ("text", "numeric")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '[{"id": 1, "n": 0.1234567890123456789, "tags": ["x"], "day": "2026-03-01"}, {"id": 2, "n": 5}]'),
        ("a.json", '{"exported": "today", "rows": [{"id": 1, "n": 0.1234567890123456789, "tags": ["x"], "day": "2026-03-01"}, {"id": 2, "n": 5}]}'),
        ("a.jsonl", '\ufeff{"id": 1, "n": 0.1234567890123456789, "tags": ["x"], "day": "2026-03-01"}\n\n{"id": 2, "n": 5}'),
    ],
)  # fmt: skip
def test_json(inbox: Inbox, name: str, content: str) -> None:
    inbox.put(name, content)
    inbox.look()
    assert inbox.types() == {"_file": "text", "_file_row": "bigint", "id": "bigint", "n": "numeric", "tags": "jsonb", "day": "date"}
    assert inbox.rows("id, n, tags, day") == [
        (1, Decimal("0.1234567890123456789"), ["x"], date(2026, 3, 1)),
        (2, Decimal(5), None, None),
    ]


def test_parquet_keeps_the_types_of_its_schema(inbox: Inbox) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table(
        {
            "code": pa.array(["00123", None]),
            "price": pa.array([Decimal("12345678901234567890.12"), None], pa.decimal128(38, 2)),
            "share": pa.array([0.1, float("nan")]),
            "day": pa.array([date(2026, 3, 1), None]),
            "at": pa.array([datetime(2026, 3, 1, 8, 0, 0, 123456, tzinfo=UTC), None], pa.timestamp("ns", "UTC")),
            "tags": pa.array([[{"a": Decimal("1.50")}], None], pa.list_(pa.struct([("a", pa.decimal128(5, 2))]))),
            "nothing": pa.array([None, None], pa.int32()),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "big": pa.array([2**64 - 1, 1], pa.uint64()),
        }
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    inbox.put("a.parquet", buffer.getvalue())
    inbox.look()
    assert inbox.types()["nothing"] == "bigint"
    first, second = inbox.rows("_file_row, code, price, share, day, at, tags, kind, big")
    moment = datetime(2026, 3, 1, 8, 0, 0, 123456, tzinfo=UTC)
    assert first == (
        1,
        "00123",
        Decimal("12345678901234567890.12"),
        Decimal("0.1"),
        date(2026, 3, 1),
        moment,
        [{"a": 1.5}],
        "x",
        Decimal(2**64 - 1),
    )
    assert second[:3] == (2, None, None)
    assert second[3].is_nan()


def workbook(*rows: list[Any], title: str = "Sheet", more: dict[str, list[list[Any]]] | None = None) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = title
    for row in rows:
        sheet.append(row)
    for name, others in (more or {}).items():
        other = book.create_sheet(name)
        for row in others:
            other.append(row)
    for row in sheet.iter_rows():
        for cell in row:
            if cell.value == 123:
                cell.number_format = "00000"
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_a_workbook(inbox: Inbox) -> None:
    moment = datetime(2026, 3, 1, 8, 30)
    inbox.put(
        "a.xlsx",
        workbook(
            ["zip", "day", "at", "n", "ok", None], [123, date(2026, 3, 1), moment, 0.1, True], [None] * 5, ["x", None, None, 2, False]
        ),
    )
    inbox.look()
    assert inbox.types() == {
        "_file": "text", "_file_row": "bigint", "zip": "text", "day": "date", "at": "timestamp with time zone", "n": "numeric", "ok": "boolean",
    }  # fmt: skip
    assert inbox.rows("_file_row, zip, day, at, n, ok") == [
        (2, "00123", date(2026, 3, 1), moment.replace(tzinfo=UTC), Decimal("0.1"), True),
        (4, "x", None, None, Decimal(2), False),
    ]


def test_a_sheet_by_name(inbox: Inbox) -> None:
    inbox.declaration = {"options": {"sheet": "Data", "header_row": 2}}
    inbox.put("a.xlsx", workbook(["read me"], more={"Data": [["title"], ["id"], [7]]}))
    inbox.look()
    assert inbox.rows("_file_row, id") == [(3, 7)]


def test_of_a_workbook_the_first_sheet_that_people_see(inbox: Inbox) -> None:
    import openpyxl
    from openpyxl.chart import BarChart, Reference

    book = openpyxl.load_workbook(io.BytesIO(workbook(["secret"], [1], more={"Shown": [["id", datetime(2026, 3, 1)], [7, 8]]})))
    book.worksheets[0].sheet_state = "hidden"
    chart = BarChart()
    chart.add_data(Reference(book["Shown"], min_col=1, min_row=1, max_row=2))
    book.create_chartsheet("Chart", 0).add_chart(chart)
    buffer = io.BytesIO()
    book.active = 2
    book.save(buffer)
    inbox.put("a.xlsx", buffer.getvalue())
    inbox.look()
    assert inbox.rows('_file_row, id, "2026-03-01"') == [(2, 7, 8)]


def test_moments_out_of_range_and_durations(inbox: Inbox) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    lengths = [timedelta(hours=30), timedelta(minutes=-1, milliseconds=-500)]
    table = pa.table(
        {
            "day": pa.array([3_000_000, 0], pa.date32()),  # the year 10183: a sentinel of some programs
            "at": pa.array([-62_135_596_801, 0], pa.timestamp("s", "UTC")),
            "long": pa.array(lengths, pa.duration("us")),
            "exact": pa.array([5_000_000_001, None], pa.duration("ns")),
        }
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    inbox.put("a.parquet", buffer.getvalue())
    assert inbox.look().rows == 2
    unfit = [{"field": field, "change": "NULLED", "reason": "DESTINATION_TYPECAST_ERROR"} for field in ("day", "at")]
    assert inbox.rows("day, at, long, exact, _airbyte_meta -> 'changes'") == [
        (None, None, "30:00:00", "0:00:05", unfit),
        (date(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC), "-0:01:00.500000", None, []),
    ]
    assert inbox.query("SELECT long::interval FROM sales_raw.by_hand ORDER BY _file_row") == [(length,) for length in lengths]


def with_results(content: bytes, results: dict[str, str]) -> bytes:
    """The workbook with formula results, as Excel saves them; openpyxl itself writes none."""
    import re
    import zipfile

    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            text = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                for cell, result in results.items():
                    text = re.sub(
                        rf'<c r="{cell}"[^>]*>(<f>.*?</f>)<v ?/?>(</v>)?'.encode(),
                        f'<c r="{cell}" {result}'.encode().replace(b"F", b"\\1"),
                        text,
                    )
            copy.writestr(name, text)
    return target.getvalue()


def test_formulas_count_with_their_saved_values(inbox: Inbox) -> None:
    content = workbook(["a", "b", "c", "d"], [2, "=A2*2", '=IF(A2=1,"x","")', "=1/0"])
    inbox.put("a.xlsx", with_results(content, {"B2": ">F<v>4</v>", "C2": 't="str">F<v></v>', "D2": 't="e">F<v>#DIV/0!</v>'}))
    inbox.look()
    assert inbox.rows("a, b, c, d, _airbyte_meta -> 'changes'") == [
        (2, 4, None, None, [{"field": "d", "change": "NULLED", "reason": "SOURCE_RETRIEVAL_ERROR"}])
    ]


def test_the_ending_decides_unless_the_declaration_does(inbox: Inbox) -> None:
    inbox.put("A.JSON", json.dumps([{"id": 1}]))
    inbox.look()
    inbox.declaration = {"format": "csv"}
    inbox.put("b.dat", "id\n2\n")
    inbox.look()
    assert inbox.rows("_file, id") == [("A.JSON", 1), ("b.dat", 2)]


def test_memory_does_not_grow_with_the_file(inbox: Inbox) -> None:
    import tracemalloc

    inbox.put("a.csv", "id,text\n1,x\n")
    inbox.look()  # what is loaded once (libraries, caches) is there before the measurement
    inbox.put("a.csv", "id,text\n" + "".join(f"{number},{'z' * 2000}\n" for number in range(20_000)))
    tracemalloc.start()
    result = inbox.look()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (result.rows, result.loaded[0].replaced) == (20_000, 1)
    assert peak < 30_000_000, "40 MB pass through in batches: 8 MB of rows in memory, and what is on its way to the raw copy"

"""The attribute policy: what its file may say, which mask a column gets, and what lint says of contracts and policy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from platform_core.contracts import Column, Contract, Location, Mesh, Table, load_mesh
from platform_core.contracts.masking import NULL, Mask, misfit, strictest
from platform_core.contracts.masking_file import read_masking
from platform_core.contracts.masking_policy import Masking, column_mask, masking_problems
from platform_core.contracts.masking_schema import MASKING_SCHEMA, MODELINE
from platform_core.contracts.row_filter import RowFilter

SCHEMA: Any = json.loads(MASKING_SCHEMA.text())
GOOD = """\
rules:
  - tag: email
    mask: {partial: {first: 1, domain: true}}
  - tag: [name, nickname]
    mask: null
  - classification: restricted
    masks:
      text: hash
      date: year
      number: {bucket: 10}
      integer: {bucket: 10}
unmasked: [public, internal]
readers:
  - role: team
    attributes: {country: [PT, ES], unit: "*"}
"""
FILE = Path("contracts/a.odcs.yaml")


def policy(tmp_path: Path, text: str = GOOD) -> Masking:
    masking, problems = read(tmp_path, text)
    assert problems == ()
    assert masking is not None
    return masking


def read(tmp_path: Path, text: str) -> Any:
    (tmp_path / "domains").mkdir(exist_ok=True)
    (tmp_path / "domains" / "masking.yaml").write_text(text)
    return read_masking(tmp_path)


def column(
    kind: str | None = "text",
    classification: str | None = None,
    tags: tuple[str, ...] = (),
    own: Mask | None = None,
    logical: str = "string",
) -> Column:
    made = Column("c", "c", logical, kind, None, False, False, False, -1, classification, tags, None, (), Location(FILE, 12))
    return replace(made, own_mask=own)


def mesh(masking: Masking | None, *columns: Column, row_filter: RowFilter | None = None) -> Mesh:
    table = Table("t", "t", None, None, None, columns, (), (), "t", False, Location(FILE, 5), row_filter)
    contract = Contract("d.p.t", "t", "1.0.0", "active", "d", "d.p", None, None, None, (table,), (), (), None, (), (), (), FILE, {}, ())
    return Mesh(("d",), {}, {contract.id: contract}, (), masking=masking)


def found(masking: Masking | None, *columns: Column, **options: Any) -> list[tuple[str, str, int]]:
    return [(problem.rule, problem.severity, problem.location.line) for problem in masking_problems(mesh(masking, *columns, **options))]


WRONG: list[tuple[str, str, int, str]] = [
    ("rules:\n  - tag: email\n    mask: blur\n", "not a mask", 3, "write null, hash, year"),
    ("rules:\n  - tag: email\n    mask: partial\n", "without its options", 3, "say what is kept"),
    ("rules:\n  - tag: email\n    mask: {partial: {first: -1}}\n", "partial with", 3, "numbers from 0 to 20"),
    ("rules:\n  - tag: email\n    mask: {partial: {firts: 1}}\n", "partial with", 3, "say what is kept"),
    ("rules:\n  - tag: email\n    mask: {partial: {domain: 1}}\n", "partial with", 3, "true or false"),
    ("rules:\n  - tag: age\n    mask: {bucket: 0}\n", "0 wide", 3, "above 0"),
    ("rules:\n  - tag: age\n    mask: {bucket: .nan}\n", "nan wide", 3, "above 0"),
    ("rules:\n  - tag: age\n    mask: {bucket: 1.0e+400}\n", "wide", 3, "above 0"),
    ("rules:\n  - tag: age\n    mask: {bucket: {months: 5}}\n", "5 months", 3, "1, 2, 3, 4, 6 or 12"),
    ("rules:\n  - tag: age\n    mask: {bucket: {weeks: 1}}\n", "bucket of", 3, "{bucket: {months: 3}}"),
    ("rules:\n  - tag: age\n    mask: hash\n    masks: {text: hash}\n", "both mask and masks", 2, "by type"),
    ("rules:\n  - tag: age\n", "no mask", 2, "mask:"),
    ("rules:\n  - mask: hash\n", "selects no columns", 2, "classification: or tag:"),
    ("rules:\n  - tag: a\n    classification: b\n    mask: hash\n", "by classification and by tag", 2, "one of the two"),
    ("rules:\n  - tag: age\n    masks: {txt: hash}\n", "unknown family", 3, "'text'"),
    ("rules:\n  - tag: age\n    maks: hash\n", "did you mean 'mask", 3, "use one of"),
    ("rules:\n  - tag: age\n    mask: hash\nunmaskd: [public]\n", "did you mean 'unmasked'", 4, "use one of"),
    ("rules: []\n", "is empty", 1, "at least one"),
    ("unmasked: [public]\n", "rules is missing", 1, "add rules:"),
    ("rules: {tag: x}\n", "not a list", 1, "write a list"),
    ("rules:\n  - tag: age\n    mask: hash\nunmasked: [public, PII]\n", "'PII' unmasked", 4, "give it a rule"),
    ("rules:\n  - tag: age\n    mask: hash\nreaders:\n  - attributes: {country: PT}\n", "role is missing", 5, "add role:"),
    ("rules:\n  - tag: age\n    mask: hash\nreaders:\n  - role: x\n    attributes: {country: 5}\n", "country is 5", 6, "name"),
    ("[]\n", "the file is", 1, "write a mapping"),
    ("rules: [\n", "", 2, ""),
]


@pytest.mark.parametrize(("text", "message", "line", "remedy"), WRONG, ids=[case[0].replace("\n", " ")[-40:] for case in WRONG])
def test_what_is_wrong_with_the_file_is_said_with_line_and_remedy(tmp_path: Path, text: str, message: str, line: int, remedy: str) -> None:
    masking, problems = read(tmp_path, text)
    assert problems, text
    assert (message in problems[0].message, problems[0].location.line, remedy in problems[0].remedy) == (True, line, True), problems[0]
    assert all(problem.severity == "error" and problem.rule == "masking-file" for problem in problems)
    assert masking is not None and masking.model is None
    document = yaml.safe_load(text) if text != "rules: [\n" else None
    if message not in {"'PII' unmasked", "wide"}:  # what a schema cannot say, or JSON cannot hold
        assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(document)) or "nan" in message, "the schema lets it pass"


def test_a_file_with_errors_hides_everything_that_is_classified(tmp_path: Path) -> None:
    broken, _ = read(tmp_path, "rules: 5\n")
    assert column_mask(column(classification="internal"), broken) == NULL
    assert column_mask(column(tags=("email",)), broken) == NULL
    assert column_mask(column(), broken) is None


def test_the_rule_that_hides_most_wins(tmp_path: Path) -> None:
    masking = policy(tmp_path)
    email = Mask("partial", first=1, domain=True)
    cases = {
        column(tags=("email",)): email,
        column(tags=("email", "name")): NULL,
        column(classification="Restricted", tags=("email", "pii")): Mask("hash"),
        column("date", "restricted"): Mask("year"),
        column("numeric(12,2)", "restricted"): Mask("bucket", width="10"),
        column("text", "internal", ("nothing",)): None,
        column("text"): None,
        column("text", "internal", ("email",)): email,
    }
    assert {case: column_mask(case, masking) for case in cases} == cases
    assert found(masking, *cases) == []


ORDER = [
    Mask("partial", first=3, last=4, domain=True), Mask("partial", first=1, domain=True), Mask("partial", first=2), Mask("partial"),
    Mask("bucket", days=1), Mask("bucket", days=30), Mask("bucket", months=3), Mask("year"), Mask("bucket", years=10), Mask("hash"), NULL,
]  # fmt: skip


def test_masks_have_one_order() -> None:
    assert sorted(ORDER, key=lambda mask: mask.strictness) == ORDER
    assert strictest(ORDER[:4]) == Mask("partial")
    assert strictest([]) is None
    assert Mask("bucket", width="5").strictness < Mask("bucket", width="10").strictness < Mask("hash").strictness


@pytest.mark.parametrize(
    ("masking", "case", "problem"),
    [
        ("{rules: [{tag: x, mask: hash}]}", column("text", "restricted"), ("personal-without-policy", "error", 12)),
        ("{rules: [{tag: x, mask: hash}]}", column("text", None, ("pii",)), ("personal-without-policy", "error", 12)),
        ("{rules: [{tag: x, mask: hash}], otherwise: {masks: {date: year}}}", column("text", None, ("pii",)), ("personal-without-policy", "error", 12)),
        ("{rules: [{tag: x, mask: hash}], otherwise: {mask: year}}", column("text", None, ("pii",)), ("mask-type", "error", 12)),
        ("{rules: [{tag: x, mask: year}]}", column("text", None, ("x",)), ("mask-type", "error", 12)),
        ("{rules: [{tag: x, mask: hash}]}", column("integer", None, ("x",)), ("mask-type", "error", 12)),
        ("{rules: [{tag: x, mask: hash}]}", column("varchar(15)", None, ("x",)), ("mask-type", "error", 12)),
        ("{rules: [{tag: x, masks: {text: hash}}]}", column("boolean", None, ("x",)), ("mask-type", "error", 12)),
        ("{rules: [{tag: x, mask: hash}], unmasked: [internal]}", column("text", "intrenal"), ("unknown-classification", "error", 12)),
        ("{rules: [{tag: x, mask: hash}]}", column("text", None, ("x",), Mask("partial", first=1)), ("mask-weaker", "error", 12)),
        ("{rules: [{tag: x, mask: {bucket: 10}}]}", column("integer", None, ("x",), Mask("bucket", width="5")), ("mask-weaker", "error", 12)),
        ("{rules: [{tag: x, mask: {partial: {first: 1}}}]}", column("text", None, ("x",), Mask("year")), ("mask-type", "error", 12)),
    ],
)  # fmt: skip
def test_what_the_policy_cannot_decide_is_an_error_and_hidden(
    tmp_path: Path, masking: str, case: Column, problem: tuple[str, str, int]
) -> None:
    made = policy(tmp_path, masking)
    assert found(made, case) == [problem]
    mask = column_mask(case, made)
    weaker = problem[0] == "mask-weaker"
    assert (mask is not None and mask.strictness > (case.own_mask or NULL).strictness) if weaker else mask in {NULL, None}
    assert mask is not None or problem[0] == "unknown-classification"


def test_a_column_may_ask_for_more_than_the_policy(tmp_path: Path) -> None:
    masking = policy(tmp_path)
    assert column_mask(column(tags=("email",), own=NULL), masking) == NULL
    assert column_mask(column(own=Mask("hash")), masking) == Mask("hash"), "also where no rule applies"
    assert found(masking, column(tags=("email",), own=NULL), column(own=Mask("hash"))) == []


def test_without_a_policy_personal_data_is_null_and_lint_says_so() -> None:
    personal = column("bigint", "confidential", own=Mask("hash"))
    assert column_mask(personal, None) == NULL
    assert column_mask(column("text", "internal"), None) is None
    assert found(None, personal) == [("masking-policy", "warning", 12)]
    assert found(None, column("text", "internal")) == []


def test_a_row_filter_that_no_reader_can_pass_is_a_warning(tmp_path: Path) -> None:
    filtered = RowFilter("c", "country", Location(FILE, 8))
    assert found(policy(tmp_path), column(), row_filter=filtered) == []
    assert found(policy(tmp_path), column(), row_filter=replace(filtered, attribute="region")) == [("row-filter-attribute", "warning", 8)]
    assert policy(tmp_path).attributes == {("team", "country", "PT"), ("team", "country", "ES"), ("team", "unit", "*")}


def test_which_mask_fits_which_type() -> None:
    masks = {
        "null": NULL,
        "hash": Mask("hash"),
        "partial": Mask("partial", first=1),
        "year": Mask("year"),
        "bucket": Mask("bucket", width="10"),
        "span": Mask("bucket", days=7),
    }
    fits = {
        "null hash partial": ["text", "varchar", "character varying(20)", "VARCHAR(16)", "char(32)", "citext"],
        "null partial": ["varchar(10)", "char", "character(3)"],
        "null hash bucket": ["bigint", "int8"],
        "null bucket": ["integer", "smallint", "numeric", "numeric(12,2)", "real", "double precision"],
        "null year span": ["date", "timestamp", "timestamptz", "timestamp(3) with time zone", "timestamp without time zone"],
        "null hash": ["uuid", "bytea"],
        "null": ["boolean", "json", "jsonb", "time", "interval", "inet", "integer[]", "text[]", "my_enum", "object", "array", None],
    }  # fmt: skip
    for names, kinds in fits.items():
        for kind in kinds:
            assert [name for name, mask in masks.items() if misfit(mask, kind) is None] == names.split(), kind
    assert (
        misfit(Mask("bucket", width="0.5"), "integer")
        and misfit(Mask("bucket", width="40000"), "smallint")
        and misfit(Mask("bucket", width="0.001"), "numeric(12,2)")
    )


def test_the_schema_is_current_named_by_the_file_and_true_of_it(repo: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert (repo / MASKING_SCHEMA.file).read_text() == MASKING_SCHEMA.text()
    text = (repo / "domains" / "masking.yaml").read_text()
    assert text.startswith(MODELINE)
    for document in (text, GOOD):
        assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(document))) == []
    described = [SCHEMA, *SCHEMA["$defs"].values()]
    assert [
        name for part in described for name, value in part["properties"].items() if "description" not in value and "$ref" not in value
    ] == []


def test_a_stale_schema_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "domains").mkdir()
    assert MASKING_SCHEMA.problems(tmp_path) == ()
    (tmp_path / MASKING_SCHEMA.file).write_text("{}")
    (problem,) = MASKING_SCHEMA.problems(tmp_path)
    assert problem.rule == "masking-schema"


def test_the_demonstration_masks_by_what_the_data_is(repo: Path) -> None:
    demo = load_mesh(repo)
    assert demo.problems == () and masking_problems(demo) == ()
    masks = {
        column.name: str(column.mask)
        for contract in demo.contracts.values()
        for table in contract.tables
        for column in table.columns
        if column.mask
    }
    assert masks == {
        "given_name": "null", "email": "partial (first 1, domain)", "phone": "hash", "age": "bucket (10)", "occupation": "null", "street": "null",
        "postal_code": "partial (first 2)", "customer_email": "partial (first 1, domain)",
    }  # fmt: skip

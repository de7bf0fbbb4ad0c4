"""What ``domains/masking.yaml`` may say. The JSON Schema for editors is made from these models."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticCustomError

from platform_core.contracts.file_model import FileModel
from platform_core.contracts.masking import NULL, Family, Mask
from platform_core.contracts.one_or_more import Names
from platform_core.contracts.sensitivity import PERSONAL_CLASSES

_WORDS = ("hash", "partial", "year", "bucket")
_SPANS = ("days", "months", "years")
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,6})?")


def read_mask(value: Any) -> Mask:
    """A mask as files write it: a word, or a mapping of one word to its options.

    Raises:
        PydanticCustomError: It is none; with a remedy in the error's context.
    """
    if isinstance(value, Mask):
        return value
    if value is None or value == "null":
        return NULL
    if value in ("hash", "year"):
        return Mask(value)
    if isinstance(value, dict) and len(value) == 1:
        word, options = next(iter(value.items()))
        if word == "partial":
            return _partial(options)
        if word == "bucket":
            return _bucket(options)
    if value in ("partial", "bucket"):
        raise _wrong(f"{value} without its options", _EXAMPLES[value])
    raise _wrong(f"{value!r}, not a mask", "write null, hash, year, {partial: {first: 1}} or {bucket: 10}")


_EXAMPLES = {
    "partial": "say what is kept: {partial: {first: 1, domain: true}}",
    "bucket": "say how wide: {bucket: 10} for numbers, {bucket: {months: 3}} for dates",
}


def _wrong(what: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("mask", "is {value}", {"value": what, "remedy": remedy})


def _partial(options: Any) -> Mask:
    if not isinstance(options, dict) or not options or options.keys() - {"first", "last", "domain"}:
        raise _wrong(f"partial with {options!r}", _EXAMPLES["partial"])
    first, last, domain = options.get("first", 0), options.get("last", 0), options.get("domain", False)
    if type(first) is not int or type(last) is not int or type(domain) is not bool or not (0 <= first <= 20 and 0 <= last <= 20):
        raise _wrong(f"partial with {options!r}", "first and last are numbers from 0 to 20, domain is true or false")
    return Mask("partial", first=first, last=last, domain=domain)


def _bucket(options: Any) -> Mask:
    if type(options) in (int, float):
        text = format(Decimal(str(options)).normalize(), "f") if abs(options) < 1e13 else "0"
        if not _NUMBER.fullmatch(text) or float(text) <= 0:
            raise _wrong(f"a bucket {options} wide", "a width is above 0, up to a trillion, with six decimal places at most")
        return Mask("bucket", width=text)
    if isinstance(options, dict) and len(options) == 1:
        unit, size = next(iter(options.items()))
        if unit in _SPANS and type(size) is int and 0 < size <= 36_500:
            if unit == "months" and 12 % size:
                raise _wrong(f"a bucket of {size} months", "a year must be a number of buckets: 1, 2, 3, 4, 6 or 12 months, or years")
            if unit == "years" and size > 1000:
                raise _wrong(f"a bucket of {size} years", "use up to 1000 years")
            sizes = {span: size if span == unit else 0 for span in _SPANS}
            return Mask("bucket", days=sizes["days"], months=sizes["months"], years=sizes["years"])
    raise _wrong(f"a bucket of {options!r}", _EXAMPLES["bucket"])


_MASK_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": [None, "null", "hash", "year"]},
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["partial"],
            "properties": {
                "partial": {
                    "type": "object",
                    "description": "Keeps some characters of a text; the rest, however long it is, becomes `***`.",
                    "additionalProperties": False,
                    "minProperties": 1,
                    "properties": {
                        "first": {"type": "integer", "minimum": 0, "maximum": 20, "description": "Characters kept at the beginning."},
                        "last": {"type": "integer", "minimum": 0, "maximum": 20, "description": "Characters kept at the end."},
                        "domain": {"type": "boolean", "description": "Keep what follows the last `@`: the domain of an e-mail address."},
                    },
                }
            },
        },
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["bucket"],
            "properties": {
                "bucket": {
                    "description": "Keeps the interval: the value becomes its lower end.",
                    "anyOf": [
                        {"type": "number", "exclusiveMinimum": 0, "maximum": 999999999999},
                        {
                            "type": "object",
                            "additionalProperties": False,
                            "minProperties": 1,
                            "maxProperties": 1,
                            "properties": {
                                "days": {"type": "integer", "minimum": 1, "maximum": 36500},
                                "months": {"enum": [1, 2, 3, 4, 6, 12]},
                                "years": {"type": "integer", "minimum": 1, "maximum": 1000},
                            },
                        },
                    ],
                }
            },
        },
    ]
}

MaskValue = Annotated[Mask, BeforeValidator(read_mask), WithJsonSchema(_MASK_SCHEMA)]


class _Masking(FileModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    mask: MaskValue | None = None
    """One mask for every column, whatever its type. `null`: nothing is shown. `hash`: a keyed hash, equal for equal values in every
    port, so that joins work. `year`: the first of January. `{partial: {first: 1, last: 2, domain: true}}`: some characters.
    `{bucket: 10}`, `{bucket: {months: 3}}`: the lower end of an interval."""

    masks: dict[Family, MaskValue] | None = Field(default=None, min_length=1)
    """A mask for each family of types, where one does not fit all: text, integer, number, date, timestamp, uuid, bytes, boolean,
    other (arrays, JSON, times of day and everything else)."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> _Masking:
        if ("mask" in self.model_fields_set) == ("masks" in self.model_fields_set):
            what = "names both mask and masks" if self.masks else "names no mask"
            raise PydanticCustomError("mask", "{value}", {"value": what, "remedy": "write mask: for all types, or masks: by type"})
        return self

    def of(self, kind: Family) -> Mask | None:
        """The mask of a family of types; None where the rule has none for it."""
        if "mask" in self.model_fields_set:
            return self.mask or NULL
        return (self.masks or {}).get(kind)


class MaskRule(_Masking):
    """Which columns get which mask. Of several rules that apply to a column, the one that hides most wins."""

    model_config = ConfigDict(
        json_schema_extra={"allOf": [
            {"oneOf": [{"required": ["classification"]}, {"required": ["tag"]}]},
            {"oneOf": [{"required": ["mask"]}, {"required": ["masks"]}]},
        ]}
    )  # fmt: skip

    description: str | None = None
    """What is protected, and why so, for people."""

    classification: Names | None = Field(default=None, examples=["restricted"])
    """Columns with one of these classifications (ODCS `classification`), in any case of letters."""

    tag: Names | None = Field(default=None, examples=["email"])
    """Columns with one of these tags (ODCS `tags`)."""

    @model_validator(mode="after")
    def _selects(self) -> MaskRule:
        if (self.classification is None) == (self.tag is None):
            what = "selects by classification and by tag" if self.tag else "selects no columns"
            raise PydanticCustomError("rule", "{value}", {"value": what, "remedy": "write classification: or tag:, one of the two"})
        return self

    def applies(self, classification: str | None, tags: tuple[str, ...]) -> bool:
        """Whether the rule is about a column with these."""
        if self.classification is not None:
            return (classification or "").lower() in {name.lower() for name in self.classification}
        return bool(set(self.tag or ()) & set(tags))


class Otherwise(_Masking):
    """What personal data gets that no rule names."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["mask"]}, {"required": ["masks"]}]})


class Reader(FileModel):
    """Attributes of a role, for ports with a row filter. Members of the role have them too."""

    role: str = Field(min_length=1, max_length=63, examples=["support_germany"])
    """Role of the warehouse."""

    attributes: dict[str, Names] = Field(min_length=1, examples=[{"country": ["DE", "AT"]}])
    """Attribute to its value or values. `"*"` stands for every value: whoever has it sees all rows."""


class MaskingModel(FileModel):
    """The attribute policy of the whole mesh: what readers without the personal-data role see in place of what is classified."""

    description: str | None = None
    """What the policy is for, and who answers for it."""

    rules: list[MaskRule] = Field(min_length=1)
    """Which classification or tag gets which mask."""

    otherwise: Otherwise | None = None
    """What a column with personal data gets that no rule names. Without it such a column is an error: its author must say what it is."""

    unmasked: Names = ()
    """Classifications that everybody who may read a port may read in clear. One that stands neither here nor in a rule is an error."""

    readers: list[Reader] = Field(default_factory=list[Reader])
    """Who has which attribute, for row filters."""

    @field_validator("unmasked")
    @classmethod
    def _is_not_personal(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        personal = [name for name in value if name.lower() in PERSONAL_CLASSES]
        if personal:
            raise PydanticCustomError(
                "unmasked",
                "leaves {value} unmasked, which is personal data",
                {"value": repr(personal[0]), "remedy": "give it a rule with a mask, or give the columns another classification"},
            )
        return value

"""What a model of a file says of itself: each field's text in the JSON Schema, read only when a schema is made."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from platform_core.contracts.file_model import FileModel


class Parent(FileModel):
    inherited: int = 1
    """Comes from the parent."""


class Child(Parent):
    named: str = Field(alias="as-written")
    """Over
    two lines."""

    silent: str | None = None

    nested: Parent = Parent()
    """A mapping of its own."""


def test_texts_below_fields_describe_them_in_the_schema() -> None:
    properties = Child.model_json_schema()["properties"]
    described = {name: schema.get("description") for name, schema in properties.items()}
    assert described == {
        "inherited": "Comes from the parent.",
        "as-written": "Over\ntwo lines.",
        "silent": None,
        "nested": "A mapping of its own.",
    }


def test_nothing_is_taken_that_is_not_declared() -> None:
    with pytest.raises(ValidationError) as refused:
        Child.model_validate({"as-written": 5, "unknown": True})
    assert {(error["loc"], error["type"]) for error in refused.value.errors()} == {
        (("as-written",), "string_type"),
        (("unknown",), "extra_forbidden"),
    }

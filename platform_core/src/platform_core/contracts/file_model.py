"""What the models of the platform's own files share: no unknown keys, no silent conversions, and texts that describe their fields."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue


class FileModel(BaseModel):
    """A mapping of a file that people write.

    The text below a field is its description in the JSON Schema. It is read when a schema is made, not when the module is imported:
    pydantic's ``use_attribute_docstrings`` parses the source of every class in every process, and building validators that a command
    never uses costs as much again.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The model's schema with its fields' texts."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for field, text in _field_texts(cls).items():
            properties[cls.model_fields[field].alias or field]["description"] = text
        return schema


def _field_texts(model: type[BaseModel]) -> dict[str, str]:
    """The texts below the fields of a class and those that it inherits from."""
    texts: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if not issubclass(parent, FileModel) or parent is FileModel:
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(parent))).body
        for field, text in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))) if name in model.model_fields:
                    texts[name] = inspect.cleandoc(said)
                case _:
                    pass
    return texts

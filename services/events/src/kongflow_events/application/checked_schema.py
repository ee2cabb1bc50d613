"""Checks a schema before anything is done with it."""

from typing import Any, Final

from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument
from kongflow_events.application.ports_schemas import SchemaCompiler
from kongflow_events.domain.event_schema import PayloadValidator
from kongflow_events.domain.schema_shape import check_shape

__all__ = ["checked_schema"]

_FIELD: Final = "event_schema.schema"
_MAX_BYTES: Final = 256 * 1024


def checked_schema(
    compiler: SchemaCompiler, definition: JsonDocument
) -> tuple[dict[str, Any], PayloadValidator]:
    """The schema as values, and compiled. Raises InvalidField with the place of what is wrong."""
    if len(definition.text) > _MAX_BYTES:
        raise InvalidField(
            _FIELD, f"is {len(definition.text)} bytes long; at most {_MAX_BYTES} are allowed"
        )
    schema = definition.load()
    if not isinstance(schema, dict):
        raise InvalidField(_FIELD, "must be a JSON object")
    check_shape(schema, _FIELD)
    return schema, compiler.compile(schema, _FIELD)

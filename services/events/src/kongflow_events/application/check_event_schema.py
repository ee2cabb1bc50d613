"""Checks a schema, and a sample with it, without storing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

from kongflow_common.payload import JsonDocument
from kongflow_events.application.checked_schema import checked_schema
from kongflow_events.application.ports_schemas import SchemaCompiler, SchemaReader
from kongflow_events.domain.event_schema import Compatibility
from kongflow_events.domain.schema_compatibility import Difference, differences

__all__ = ["CheckEventSchema", "CheckedSchema"]

_MOST_ERRORS: Final = 10


@dataclass(frozen=True, slots=True)
class CheckedSchema:
    """What stands in the way of a schema, and what of the sample does not fit."""

    differences: Sequence[Difference]
    compared_version: int
    sample_errors: Sequence[str]


class CheckEventSchema:
    """Says what RegisterEventSchema would say."""

    def __init__(self, schemas: SchemaReader, compiler: SchemaCompiler) -> None:
        self._schemas = schemas
        self._compiler = compiler

    async def __call__(
        self,
        environment_id: UUID,
        event_name: str,
        definition: JsonDocument,
        compatibility: Compatibility,
        sample: JsonDocument | None,
    ) -> CheckedSchema:
        """Raises InvalidField for a schema that could not be registered at all."""
        schema, validator = checked_schema(self._compiler, definition)
        newest = await self._schemas.find_schema(environment_id, event_name, None)
        found: Sequence[Difference] = ()
        if newest is not None and newest.definition != definition:
            before = cast("dict[str, Any]", newest.definition.load())
            found = differences(before, schema, compatibility)
        errors: list[str] = []
        if sample is not None:
            violations = validator.violations(sample.load(), at_most=_MOST_ERRORS)
            errors = [f"{each.field}: {each.description}" for each in violations]
        return CheckedSchema(found, newest.version if newest is not None else 0, errors)

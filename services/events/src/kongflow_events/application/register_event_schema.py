"""Registers a schema for the events of a name."""

from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

from kongflow_common.errors import ResourceExhausted
from kongflow_common.payload import JsonDocument
from kongflow_events.application.checked_schema import checked_schema
from kongflow_events.application.ports import UnitOfWorkFactory
from kongflow_events.application.ports_schemas import SchemaCompiler
from kongflow_events.domain.errors import EventSchemaIncompatible
from kongflow_events.domain.event_schema import Compatibility, EventSchema, SchemaMode
from kongflow_events.domain.schema_compatibility import differences
from kongflow_events.domain.schema_reading import text

__all__ = ["NewSchema", "RegisterEventSchema", "RegisteredSchema"]

_MOST_SCHEMAS: Final = 1_000
_MOST_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class NewSchema:
    """A schema as somebody wants it registered."""

    environment_id: UUID
    event_name: str
    definition: JsonDocument
    mode: SchemaMode
    compatibility: Compatibility


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """The version that holds the schema; `is_new` says whether it was made for it."""

    schema: EventSchema
    is_new: bool


class RegisterEventSchema:
    """Stores the schema as the next version of its name, or finds that the newest is the same."""

    def __init__(self, unit_of_work: UnitOfWorkFactory, compiler: SchemaCompiler) -> None:
        self._unit_of_work = unit_of_work
        self._compiler = compiler

    async def __call__(self, new: NewSchema) -> RegisteredSchema:
        """Raises InvalidField, EventSchemaIncompatible and ResourceExhausted."""
        schema, _ = checked_schema(self._compiler, new.definition)
        async with self._unit_of_work() as uow:
            room = await uow.schemas.lock(new.environment_id)
            newest = await uow.schemas.newest(new.environment_id, new.event_name)
            if newest is not None and _is_same(newest.definition, schema):
                if newest.mode is not new.mode:
                    newest = await uow.schemas.set_mode(newest, new.mode)
                    await uow.commit()
                return RegisteredSchema(newest, is_new=False)
            if newest is not None:
                before = cast("dict[str, Any]", newest.definition.load())
                found = differences(before, schema, new.compatibility)
                if found:
                    raise EventSchemaIncompatible(new.event_name, newest.version, found)
            if room.count >= _MOST_SCHEMAS:
                raise ResourceExhausted(f"an environment has at most {_MOST_SCHEMAS} schemas")
            if room.size + len(new.definition.text) > _MOST_BYTES:
                raise ResourceExhausted(
                    f"the schemas of an environment have at most {_MOST_BYTES} bytes together"
                )
            added = await uow.schemas.add(
                new.environment_id, new.event_name, new.definition, new.mode
            )
            await uow.commit()
        return RegisteredSchema(added, is_new=True)


def _is_same(definition: JsonDocument, schema: dict[str, Any]) -> bool:
    """Whether they say the same, however it is written."""
    return text(definition.load()) == text(schema)

"""Gets one schema, lists pages of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from kongflow_events.application.ports_schemas import SchemaReader, SchemaSelection
from kongflow_events.domain.errors import EventSchemaNotFound
from kongflow_events.domain.event_schema import EventSchema

__all__ = ["EventSchemaQueries", "SchemaPage"]


@dataclass(frozen=True, slots=True)
class SchemaPage:
    """Some schemas; `complete` when no more follow."""

    items: Sequence[EventSchema]
    complete: bool


class EventSchemaQueries:
    """Reads schemas of the caller's environment."""

    def __init__(self, schemas: SchemaReader) -> None:
        self._schemas = schemas

    async def get(self, environment_id: UUID, event_name: str, version: int | None) -> EventSchema:
        """A version, or the newest. Raises EventSchemaNotFound."""
        found = await self._schemas.find_schema(environment_id, event_name, version)
        if found is None:
            raise EventSchemaNotFound(event_name, version)
        return found

    async def list(self, selection: SchemaSelection) -> SchemaPage:
        """A page, without definitions."""
        limit = selection.limit
        found = await self._schemas.list_schemas(replace(selection, limit=limit + 1))
        return SchemaPage(found[:limit], complete=len(found) <= limit)

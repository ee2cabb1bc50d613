"""What the use cases about schemas need of the outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from kongflow_common.errors import Contended
from kongflow_common.payload import JsonDocument
from kongflow_events.domain.event_schema import (
    EnvironmentSchemas,
    EventSchema,
    PayloadValidator,
    SchemaMode,
)

__all__ = [
    "SchemaCompiler",
    "SchemaDirectory",
    "SchemaReader",
    "SchemaRepository",
    "SchemaRoom",
    "SchemaSelection",
    "SchemasChanged",
]


class SchemasChanged(Contended):
    """The event was checked with schemas that are not the present ones: check it again."""

    def __init__(self) -> None:
        super().__init__("a schema, or the event itself, changed at this moment; send it again")


class SchemaDirectory(Protocol):
    """Knows the schemas of environments."""

    def known(self, environment_id: UUID) -> EnvironmentSchemas | None:
        """Those that it knows without asking, which may be out of date; None if it must ask."""
        ...

    async def read(self, environment_id: UUID) -> EnvironmentSchemas:
        """Those of this moment."""
        ...


class SchemaCompiler(Protocol):
    """Compiles schemas."""

    def compile(self, schema: Mapping[str, Any], field: str) -> PayloadValidator:
        """The compiled schema. Raises InvalidField with its place below `field`."""
        ...


@dataclass(frozen=True, slots=True)
class SchemaRoom:
    """How many versions an environment has, and how long they are together."""

    count: int
    size: int


class SchemaRepository(Protocol):
    """Schemas inside a unit of work."""

    async def lock(self, environment_id: UUID) -> SchemaRoom:
        """Keep others from changing the schemas of the environment."""
        ...

    async def newest(self, environment_id: UUID, event_name: str) -> EventSchema | None:
        """The newest version of a name."""
        ...

    async def add(
        self, environment_id: UUID, event_name: str, definition: JsonDocument, mode: SchemaMode
    ) -> EventSchema:
        """Store the next version."""
        ...

    async def set_mode(self, schema: EventSchema, mode: SchemaMode) -> EventSchema:
        """Write another mode; the schema as it is then."""
        ...

    async def delete(self, environment_id: UUID, event_name: str, version: int) -> bool:
        """Delete a version; False if there is none."""
        ...

    async def exists(self, environment_id: UUID, event_name: str, version: int) -> bool:
        """Whether there is or was a version."""
        ...


@dataclass(frozen=True, slots=True)
class SchemaSelection:
    """Which schemas a list shows: newest first, those that follow `after`."""

    environment_id: UUID
    event_name: str | None
    after: UUID | None
    limit: int


class SchemaReader(Protocol):
    """Reads schemas."""

    async def find_schema(
        self, environment_id: UUID, event_name: str, version: int | None
    ) -> EventSchema | None:
        """A version, or the newest."""
        ...

    async def list_schemas(self, selection: SchemaSelection) -> Sequence[EventSchema]:
        """The schemas, without their definitions."""
        ...

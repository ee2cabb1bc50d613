"""Schemas in memory, so that an event can be checked as it comes in."""

import asyncio
from collections import OrderedDict
from typing import Any, Final
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.payload_validator import LazyValidator
from kongflow_events.domain.event_schema import (
    EnvironmentSchemas,
    KnownSchema,
    SchemaMode,
    schema_uri,
)

__all__ = ["MemorySchemaDirectory"]

_MAX_ENVIRONMENTS: Final = 50_000
_MAX_DEFINITION_BYTES: Final = 64 * 1024 * 1024

_READ_VERSION: Final = """
    SELECT schema_version FROM events.dispatcher_versions
     WHERE environment_id = %(environment_id)b::uuid
"""
_READ_SCHEMAS: Final = """
    SELECT v.schema_version, s.event_name, s.version, s.mode, s.definition
      FROM events.dispatcher_versions v
      LEFT JOIN events.event_schemas s
        ON s.environment_id = v.environment_id AND s.deleted_at IS NULL
     WHERE v.environment_id = %(environment_id)b::uuid
     ORDER BY s.event_name, s.version DESC
"""


class MemorySchemaDirectory:
    """Implements SchemaDirectory.

    What it knows may be out of date; the statement that stores an event compares the version.
    Environments that were asked for least recently go first.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_environments: int = _MAX_ENVIRONMENTS,
        max_definition_bytes: int = _MAX_DEFINITION_BYTES,
    ) -> None:
        self._database = database
        self._max_environments = max_environments
        self._max_definition_bytes = max_definition_bytes
        self._held: OrderedDict[UUID, tuple[EnvironmentSchemas, int]] = OrderedDict()
        self._bytes = 0
        self._reading: dict[UUID, asyncio.Task[EnvironmentSchemas]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def known(self, environment_id: UUID) -> EnvironmentSchemas | None:
        held = self._held.get(environment_id)
        if held is None:
            return None
        self._held.move_to_end(environment_id)
        return held[0]

    async def read(self, environment_id: UUID) -> EnvironmentSchemas:
        # Whoever comes while others wait gets what is read after it came.
        before = self._reading.get(environment_id)
        if before is not None:
            await asyncio.wait([before])
        reading = self._reading.get(environment_id)
        if reading is None or reading is before:
            reading = asyncio.create_task(self._read(environment_id))
            self._reading[environment_id] = reading
            reading.add_done_callback(lambda _: self._reading.pop(environment_id, None))
        # One caller that leaves does not take it from the others.
        return await asyncio.shield(reading)

    async def _read(self, environment_id: UUID) -> EnvironmentSchemas:
        key = {"environment_id": environment_id}
        held = self._held.get(environment_id)
        if held is not None:
            rows = await self._database.pool.execute(_READ_VERSION, key)
            if held[0].version == (rows[0][0] if rows else 0):
                return held[0]
        rows = await self._database.pool.execute(_READ_SCHEMAS, key)
        schemas, size = _schemas(rows)
        self._keep(environment_id, schemas, size)
        return schemas

    def _keep(self, environment_id: UUID, schemas: EnvironmentSchemas, size: int) -> None:
        before = self._held.pop(environment_id, None)
        self._bytes += size - (before[1] if before is not None else 0)
        self._held[environment_id] = (schemas, size)
        while len(self._held) > 1 and (
            len(self._held) > self._max_environments or self._bytes > self._max_definition_bytes
        ):
            _, (_, freed) = self._held.popitem(last=False)
            self._bytes -= freed


def _schemas(rows: list[Any]) -> tuple[EnvironmentSchemas, int]:
    by_name: dict[str, list[KnownSchema]] = {}
    size = 0
    for _, name, version, mode, definition in rows:
        if name is None:
            continue
        document = JsonDocument(definition.encode())
        size += len(document.text)
        loaded: Any = document.load()
        by_name.setdefault(name, []).append(
            KnownSchema(version, SchemaMode(mode), schema_uri(loaded), LazyValidator(document))
        )
    return EnvironmentSchemas(rows[0][0] if rows else 0, by_name), size

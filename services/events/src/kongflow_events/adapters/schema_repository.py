"""Schemas of events in the database."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.tables import DISPATCHER_VERSIONS, EVENT_SCHEMAS
from kongflow_events.application.ports_schemas import SchemaRoom, SchemaSelection
from kongflow_events.domain.event_schema import EventSchema, SchemaMode

__all__ = ["SqlSchemaReader", "SqlSchemaRepository"]

_SCHEMA: Final = EVENT_SCHEMAS.c


def _select(*, with_definition: bool = True) -> Select[Any]:
    return select(
        _SCHEMA.id,
        _SCHEMA.environment_id,
        _SCHEMA.event_name,
        _SCHEMA.version,
        _SCHEMA.definition if with_definition else literal("{}").label("definition"),
        _SCHEMA.mode,
        _SCHEMA.created_at,
        _SCHEMA.updated_at,
    ).where(_SCHEMA.deleted_at.is_(None))


def _schema(row: Sequence[Any]) -> EventSchema:
    return EventSchema(
        id=row[0],
        environment_id=row[1],
        event_name=row[2],
        version=row[3],
        definition=JsonDocument(row[4].encode()),
        mode=SchemaMode(row[5]),
        created_at=row[6],
        updated_at=row[7],
    )


class SqlSchemaRepository:
    """Implements SchemaRepository."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def lock(self, environment_id: UUID) -> SchemaRoom:
        await self._connection.execute(
            upsert(DISPATCHER_VERSIONS)
            .values(environment_id=environment_id, version=0)
            .on_conflict_do_nothing()
        )
        await self._connection.execute(
            select(DISPATCHER_VERSIONS.c.version)
            .where(DISPATCHER_VERSIONS.c.environment_id == environment_id)
            .with_for_update()
        )
        statement = select(
            func.count(), func.coalesce(func.sum(func.octet_length(_SCHEMA.definition)), 0)
        ).where(_SCHEMA.environment_id == environment_id, _SCHEMA.deleted_at.is_(None))
        count, size = (await self._connection.execute(statement)).one()
        return SchemaRoom(int(count), int(size))

    async def newest(self, environment_id: UUID, event_name: str) -> EventSchema | None:
        return await _newest(self._connection, environment_id, event_name, None)

    async def add(
        self, environment_id: UUID, event_name: str, definition: JsonDocument, mode: SchemaMode
    ) -> EventSchema:
        last = (
            select(func.coalesce(func.max(_SCHEMA.version), 0) + 1)
            .where(_SCHEMA.environment_id == environment_id, _SCHEMA.event_name == event_name)
            .scalar_subquery()
        )
        statement = (
            insert(EVENT_SCHEMAS)
            .values(
                id=new_id(),
                environment_id=environment_id,
                event_name=event_name,
                version=last,
                definition=definition.text.decode(),
                mode=mode.value,
            )
            .returning(
                *(_SCHEMA[name] for name in ("id", "environment_id", "event_name", "version")),
                *(_SCHEMA[name] for name in ("definition", "mode", "created_at", "updated_at")),
            )
        )
        return _schema((await self._connection.execute(statement)).one())

    async def set_mode(self, schema: EventSchema, mode: SchemaMode) -> EventSchema:
        updated_at = await self._connection.scalar(
            update(EVENT_SCHEMAS)
            .where(_SCHEMA.id == schema.id)
            .values(mode=mode.value, updated_at=func.now())
            .returning(_SCHEMA.updated_at)
        )
        return replace(schema, mode=mode, updated_at=updated_at)

    async def delete(self, environment_id: UUID, event_name: str, version: int) -> bool:
        statement = (
            update(EVENT_SCHEMAS)
            .where(
                _SCHEMA.environment_id == environment_id,
                _SCHEMA.event_name == event_name,
                _SCHEMA.version == version,
                _SCHEMA.deleted_at.is_(None),
            )
            .values(deleted_at=func.now(), definition="")
        )
        return (await self._connection.execute(statement)).rowcount > 0

    async def exists(self, environment_id: UUID, event_name: str, version: int) -> bool:
        statement = select(_SCHEMA.id).where(
            _SCHEMA.environment_id == environment_id,
            _SCHEMA.event_name == event_name,
            _SCHEMA.version == version,
        )
        return (await self._connection.execute(statement)).first() is not None


class SqlSchemaReader:
    """Implements SchemaReader."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_schema(
        self, environment_id: UUID, event_name: str, version: int | None
    ) -> EventSchema | None:
        async with self._database.reading() as connection:
            return await _newest(connection, environment_id, event_name, version)

    async def list_schemas(self, selection: SchemaSelection) -> Sequence[EventSchema]:
        statement = _select(with_definition=False).where(
            _SCHEMA.environment_id == selection.environment_id
        )
        if selection.event_name is not None:
            statement = statement.where(_SCHEMA.event_name == selection.event_name)
        if selection.after is not None:
            statement = statement.where(_SCHEMA.id < selection.after)
        statement = statement.order_by(_SCHEMA.id.desc()).limit(selection.limit)
        async with self._database.reading() as connection:
            return [_schema(row) for row in await connection.execute(statement)]


async def _newest(
    connection: AsyncConnection, environment_id: UUID, event_name: str, version: int | None
) -> EventSchema | None:
    statement = _select().where(
        _SCHEMA.environment_id == environment_id, _SCHEMA.event_name == event_name
    )
    if version is not None:
        statement = statement.where(_SCHEMA.version == version)
    statement = statement.order_by(_SCHEMA.version.desc()).limit(1)
    row = (await connection.execute(statement)).one_or_none()
    return _schema(row) if row is not None else None

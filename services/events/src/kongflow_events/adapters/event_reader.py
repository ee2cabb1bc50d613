"""Reads event records and dispatchers for queries."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, Text, cast, select

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import FilterTarget, filter_condition
from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.dispatcher_rows import (
    dispatcher_key,
    select_dispatchers,
    to_dispatcher,
)
from kongflow_events.adapters.event_lists import find_events, reading_in_order
from kongflow_events.adapters.record_rows import record_key, select_records, to_record
from kongflow_events.adapters.tables import EVENT_DISPATCHERS, EVENT_RECORDS
from kongflow_events.application.ports import EventKey, FoundEvents, Selection
from kongflow_events.domain.event_dispatcher import EventDispatcher
from kongflow_events.domain.event_record import EventContent, EventRecord

__all__ = ["SqlReader"]

_RECORD: Final = EVENT_RECORDS.c
_DISPATCHER: Final = EVENT_DISPATCHERS.c

_DISPATCHER_TARGETS: Final[Mapping[str, FilterTarget]] = {
    "dispatchable_id": _DISPATCHER.dispatchable_id,
    "source": _DISPATCHER.source,
    "enabled": _DISPATCHER.enabled,
    "manual": _DISPATCHER.manual,
    "create_time": _DISPATCHER.created_at,
}


class SqlReader:
    """Implements EventReader and DispatcherReader."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_event(
        self, environment_id: UUID, key: EventKey
    ) -> tuple[EventRecord, EventContent] | None:
        statement = (
            select_records()
            .add_columns(cast(_RECORD.payload, Text), cast(_RECORD.context, Text))
            .where(_RECORD.environment_id == environment_id, record_key(key))
        )
        rows = await self._read(statement)
        return (to_record(rows[0]), _content(rows[0])) if rows else None

    async def page_events(self, selection: Selection) -> FoundEvents:
        async with reading_in_order(self._database) as connection:
            return await find_events(connection, selection)

    async def read_contents(self, record_ids: Sequence[UUID]) -> Mapping[UUID, EventContent]:
        statement = select(
            _RECORD.id, cast(_RECORD.payload, Text), cast(_RECORD.context, Text)
        ).where(_RECORD.id.in_(record_ids))
        return {row[0]: _content(row) for row in await self._read(statement)}

    async def read_source_contexts(self, record_ids: Sequence[UUID]) -> Mapping[UUID, JsonDocument]:
        statement = select(_RECORD.id, cast(_RECORD.source_context, Text)).where(
            _RECORD.id.in_(record_ids), _RECORD.source_context.is_not(None)
        )
        return {row[0]: JsonDocument(row[1].encode()) for row in await self._read(statement)}

    async def find_dispatcher(self, environment_id: UUID, key: EventKey) -> EventDispatcher | None:
        statement = select_dispatchers().where(
            _DISPATCHER.environment_id == environment_id, dispatcher_key(key)
        )
        rows = await self._read(statement)
        return to_dispatcher(rows[0]) if rows else None

    async def list_dispatchers(self, selection: Selection) -> Sequence[EventDispatcher]:
        conditions = [_DISPATCHER.environment_id == selection.environment_id]
        if selection.after is not None:
            conditions.append(_DISPATCHER.id < selection.after)
        if selection.filter is not None:
            conditions.append(filter_condition(selection.filter, _DISPATCHER_TARGETS))
        statement = (
            select_dispatchers()
            .where(*conditions)
            .order_by(_DISPATCHER.id.desc())
            .limit(selection.limit)
        )
        return [to_dispatcher(row) for row in await self._read(statement)]

    async def _read(self, statement: Select[Any]) -> Sequence[Any]:
        async with self._database.reading() as connection:
            rows: Sequence[Any] = (await connection.execute(statement)).all()
        return rows


def _content(row: Sequence[Any]) -> EventContent:
    return EventContent(JsonDocument(row[-2].encode()), JsonDocument(row[-1].encode()))

"""Event records inside a unit of work."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, literal, update
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.new_event_rows import (
    ADD_ACCOUNTS,
    READ_EXISTING,
    NewEventRows,
    account_parameters,
    answers,
    bounded_parts,
    event_key,
    keys_of_missing,
)
from kongflow_events.adapters.record_rows import (
    check_document,
    record_key,
    select_records,
    to_record,
)
from kongflow_events.adapters.tables import EVENT_RECORDS
from kongflow_events.application.ports import EventKey, NewEvent, SchemasChanged, StoredEvent
from kongflow_events.domain.event_record import EventRecord

__all__ = ["SqlEventRepository"]

_STATEMENT_ROWS: Final = 500


class SqlEventRepository:
    """Implements EventRepository; every change is to a row that is new or `lock` has locked."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.has_added = False
        """Whether new events, with messages of theirs that nobody has claimed, were stored."""

    async def add_many(self, events: Sequence[NewEvent]) -> Sequence[StoredEvent]:
        # All in the one order, over all statements: see NewEventRows.
        ordered = sorted(events, key=event_key)
        if any(event.account_id is not None for event in ordered):
            await self._execute(ADD_ACCOUNTS, account_parameters(ordered))
        added: dict[int, StoredEvent] = {}
        for part in bounded_parts(ordered, _STATEMENT_ROWS):
            # Unclaimed: what is enqueued may be more than a relay holds in memory.
            batch = NewEventRows(part, claimed_by=None)
            rows = await self._execute(batch.statement, batch.parameters)
            added.update(batch.stored(rows)[0])
        self.has_added = self.has_added or bool(added)
        existing: Sequence[Any] = ()
        if len(added) < len(events):
            existing = await self._execute(READ_EXISTING, keys_of_missing(events, added))
        stored: list[StoredEvent] = []
        for answer in answers(events, added, existing):
            if isinstance(answer, SchemasChanged):
                raise answer
            stored.append(answer)
        return stored

    async def _execute(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Any]:
        result = await self._connection.exec_driver_sql(statement, dict(parameters))
        return result.all() if result.returns_rows else ()

    async def lock(self, environment_id: UUID, key: EventKey) -> EventRecord | None:
        statement = (
            select_records()
            .where(EVENT_RECORDS.c.environment_id == environment_id, record_key(key))
            .with_for_update(of=EVENT_RECORDS)
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return to_record(row) if row is not None else None

    async def replan(
        self,
        record: EventRecord,
        payload: JsonDocument | None,
        context: JsonDocument | None,
        source_context: JsonDocument | None = None,
    ) -> EventRecord:
        documents = {"payload": payload, "context": context}
        changed: dict[str, object] = {
            name: _document(document.text, JSON())
            for name, document in documents.items()
            if document is not None
        }
        if payload is not None:
            check = check_document(record.schema_check)
            changed["source_context"] = _document(
                source_context.text if source_context else None, JSONB()
            )
            changed["schema_check"] = _document(check, JSONB())
        statement = (
            update(EVENT_RECORDS)
            .where(EVENT_RECORDS.c.id == record.id)
            .values(
                payload_type=record.payload_type.value,
                deliver_at=record.deliver_at,
                delivery_revision=record.delivery_revision,
                **changed,
            )
            .returning(EVENT_RECORDS.c.updated_at)
        )
        updated_at = (await self._connection.execute(statement)).scalar_one()
        return replace(record, updated_at=updated_at)

    async def cancel(self, record: EventRecord) -> EventRecord:
        statement = (
            update(EVENT_RECORDS)
            .where(EVENT_RECORDS.c.id == record.id)
            .values(cancelled_at=record.cancelled_at)
            .returning(EVENT_RECORDS.c.updated_at)
        )
        updated_at = (await self._connection.execute(statement)).scalar_one()
        return replace(record, updated_at=updated_at)

    async def advance(
        self, record: EventRecord, *, matched: int, cursor: UUID | None, done: bool
    ) -> None:
        total = record.matched_count + matched
        now = func.now()
        await self._connection.execute(
            update(EVENT_RECORDS)
            .where(EVENT_RECORDS.c.id == record.id)
            .values(
                matched_count=total,
                delivery_cursor=cursor,
                processed_at=now if done else None,
                delivered_at=now if done and total else None,
            )
        )


def _document(text: bytes | None, kind: JSON) -> ColumnElement[Any]:
    return cast(literal(text.decode() if text is not None else None, Text), kind)

"""Event records inside a unit of work."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy import Text, cast, func, literal, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.record_rows import record_key, select_records, to_record
from kongflow_events.adapters.tables import EVENT_RECORDS
from kongflow_events.application.ports import EventKey
from kongflow_events.domain.event_record import EventRecord

__all__ = ["SqlEventRepository"]


class SqlEventRepository:
    """Implements EventRepository; every change is to a row that `lock` has locked."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def lock(self, environment_id: UUID, key: EventKey) -> EventRecord | None:
        statement = (
            select_records()
            .where(EVENT_RECORDS.c.environment_id == environment_id, record_key(key))
            .with_for_update(of=EVENT_RECORDS)
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return to_record(row) if row is not None else None

    async def replan(
        self, record: EventRecord, payload: JsonDocument | None, context: JsonDocument | None
    ) -> EventRecord:
        documents = {"payload": payload, "context": context}
        changed = {
            name: cast(literal(document.text.decode(), Text), JSONB)
            for name, document in documents.items()
            if document is not None
        }
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

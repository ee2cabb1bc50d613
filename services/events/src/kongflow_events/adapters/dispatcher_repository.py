"""Dispatchers and accounts inside a unit of work."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, any_, cast, literal, null, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.compiled_dispatchers import CompiledDispatchers
from kongflow_events.adapters.dispatcher_rows import select_dispatchers, to_dispatcher
from kongflow_events.adapters.tables import EVENT_DISPATCHERS, EXTERNAL_ACCOUNTS
from kongflow_events.domain.dispatcher_match import CompiledDispatcher
from kongflow_events.domain.event_dispatcher import DispatcherSpecification, EventDispatcher
from kongflow_events.domain.event_names import NameMatch, to_like
from kongflow_events.domain.event_record import EventRecord, Tenancy

__all__ = ["SqlDispatcherRepository"]


class SqlDispatcherRepository:
    """Implements DispatcherRepository."""

    def __init__(self, connection: AsyncConnection, compiled: CompiledDispatchers) -> None:
        self._connection = connection
        self._compiled = compiled

    async def account(self, tenancy: Tenancy, account_id: str) -> UUID:
        table = EXTERNAL_ACCOUNTS
        # Where the account exists nothing is written, so that upserts do not wait for each other.
        await self._connection.execute(
            insert(table)
            .values(
                id=new_id(),
                identifier=account_id,
                organization_id=tenancy.organization_id,
                environment_id=tenancy.environment_id,
            )
            .on_conflict_do_nothing(index_elements=["environment_id", "identifier"])
        )
        # Locked, so that it does not go before the dispatcher that names it is stored.
        found = await self._connection.execute(
            select(table.c.id)
            .where(
                table.c.environment_id == tenancy.environment_id, table.c.identifier == account_id
            )
            .with_for_update(key_share=True, read=True)
        )
        row: UUID = found.scalar_one()
        return row

    async def lock(self, environment_id: UUID, dispatchable_id: str) -> EventDispatcher | None:
        table = EVENT_DISPATCHERS
        statement = (
            select_dispatchers()
            .where(
                table.c.environment_id == environment_id,
                table.c.dispatchable_id == dispatchable_id,
            )
            .with_for_update(of=table)
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return to_dispatcher(row) if row is not None else None

    async def add(
        self,
        environment_id: UUID,
        dispatchable_id: str,
        specification: DispatcherSpecification,
        *,
        external_account_id: UUID | None,
        generation: int,
    ) -> bool:
        statement = (
            insert(EVENT_DISPATCHERS)
            .values(
                id=new_id(),
                environment_id=environment_id,
                dispatchable_id=dispatchable_id,
                external_account_id=external_account_id,
                generation=generation,
                **_values(specification),
            )
            .on_conflict_do_nothing(index_elements=["dispatchable_id", "environment_id"])
            .returning(EVENT_DISPATCHERS.c.id)
        )
        return (await self._connection.execute(statement)).one_or_none() is not None

    async def replace(
        self,
        dispatcher: EventDispatcher,
        specification: DispatcherSpecification,
        *,
        external_account_id: UUID | None,
        generation: int,
    ) -> None:
        await self._connection.execute(
            update(EVENT_DISPATCHERS)
            .where(EVENT_DISPATCHERS.c.id == dispatcher.id)
            .values(
                external_account_id=external_account_id,
                generation=generation,
                **_values(specification),
            )
        )

    async def set_aside(self, dispatcher: EventDispatcher) -> None:
        await self._connection.execute(
            update(EVENT_DISPATCHERS)
            .where(EVENT_DISPATCHERS.c.id == dispatcher.id)
            .values(
                dispatchable_id=f"{dispatcher.dispatchable_id}:{dispatcher.id}",
                manual=True,
                generation=dispatcher.generation + 1,
            )
        )

    async def candidates(
        self, record: EventRecord, after: UUID | None, limit: int
    ) -> Sequence[CompiledDispatcher]:
        table = EVENT_DISPATCHERS.c
        statement = (
            select_dispatchers()
            .where(
                table.environment_id == record.tenancy.environment_id,
                _takes_name(record.name),
                table.source == record.source,
                table.enabled,
                ~table.manual,
            )
            .order_by(table.id)
            .limit(limit)
        )
        if after is not None:
            statement = statement.where(table.id > after)
        rows = (await self._connection.execute(statement)).all()
        return [self._compiled.compile(to_dispatcher(row)) for row in rows]


def _takes_name(name: str) -> ColumnElement[bool]:
    table = EVENT_DISPATCHERS.c
    return or_(
        and_(table.name_patterns.is_(None), table.event.contains([name])),
        and_(table.name_patterns.is_not(None), literal(name).like(any_(table.name_patterns))),
    )


def _name_patterns(specification: DispatcherSpecification) -> list[str] | None:
    if specification.name_match is NameMatch.EXACT:
        return None
    return [to_like(name) for name in specification.event_names]


def _values(specification: DispatcherSpecification) -> dict[str, object]:
    return {
        "event": list(specification.event_names),
        "name_patterns": _name_patterns(specification),
        "source": specification.source,
        "payload_filter": _jsonb(specification.payload_filter),
        "context_filter": _jsonb(specification.context_filter),
        "manual": specification.manual,
        "enabled": specification.enabled,
        "dispatchable": _jsonb(specification.dispatchable),
    }


def _jsonb(document: JsonDocument | None) -> object:
    if document is None:
        return null()
    return cast(literal(document.text.decode(), Text), JSONB)

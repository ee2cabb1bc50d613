"""Dispatchers as rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, cast, select

from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.tables import EVENT_DISPATCHERS, EXTERNAL_ACCOUNTS
from kongflow_events.application.ports import EventKey
from kongflow_events.domain.event_dispatcher import DispatcherSpecification, EventDispatcher
from kongflow_events.domain.event_names import NameMatch

__all__ = ["dispatcher_key", "select_dispatchers", "to_dispatcher"]


def select_dispatchers() -> Select[Any]:
    """What `to_dispatcher` reads. Documents are read as text, so that nothing is lost."""
    table = EVENT_DISPATCHERS.c
    return select(
        table.id,
        table.environment_id,
        table.dispatchable_id,
        table.event,
        table.source,
        cast(table.payload_filter, Text),
        cast(table.context_filter, Text),
        table.manual,
        table.enabled,
        cast(table.dispatchable, Text),
        table.external_account_id,
        table.generation,
        table.created_at,
        table.updated_at,
        EXTERNAL_ACCOUNTS.c.identifier,
        table.name_patterns.is_not(None),
    ).select_from(EVENT_DISPATCHERS.outerjoin(EXTERNAL_ACCOUNTS))


def dispatcher_key(key: EventKey) -> ColumnElement[bool]:
    """The condition that finds a dispatcher by its id or by what it belongs to."""
    if isinstance(key, str):
        return EVENT_DISPATCHERS.c.dispatchable_id == key
    return EVENT_DISPATCHERS.c.id == key


def to_dispatcher(row: Sequence[Any]) -> EventDispatcher:
    """Read a row of `select_dispatchers`."""
    return EventDispatcher(
        id=row[0],
        environment_id=row[1],
        dispatchable_id=row[2],
        specification=DispatcherSpecification(
            event_names=tuple(row[3]),
            source=row[4],
            payload_filter=_document(row[5]),
            context_filter=_document(row[6]),
            manual=row[7],
            enabled=row[8],
            dispatchable=JsonDocument(row[9].encode()),
            name_match=NameMatch.WILDCARD if row[15] else NameMatch.EXACT,
        ),
        external_account_id=row[10],
        generation=row[11],
        created_at=row[12],
        updated_at=row[13],
        account_id=row[14],
    )


def _document(text: str | None) -> JsonDocument | None:
    return JsonDocument(text.encode()) if text is not None else None

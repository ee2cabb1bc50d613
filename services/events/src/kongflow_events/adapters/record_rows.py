"""Event records as rows: the same columns in the same order for Core and for raw statements."""

from collections.abc import Sequence
from typing import Any, Final, cast

import orjson
from sqlalchemy import ColumnElement, Select, select

from kongflow_events.adapters.tables import EVENT_RECORDS, EXTERNAL_ACCOUNTS
from kongflow_events.application.ports import EventKey, NewEvent
from kongflow_events.domain.event_record import EventRecord, PayloadType, Priority, Tenancy
from kongflow_events.domain.schema_check import SchemaCheck

__all__ = [
    "RECORD_COLUMNS",
    "RECORD_SOURCE",
    "check_document",
    "notes_document",
    "record_key",
    "select_records",
    "to_record",
]

_RECORD_NAMES: Final = (
    "id",
    "event_id",
    "name",
    "source",
    "timestamp",
    "payload_type",
    "environment_id",
    "project_id",
    "organization_id",
    "deliver_at",
    "created_at",
    "updated_at",
    "delivered_at",
    "processed_at",
    "matched_count",
    "cancelled_at",
    "is_test",
    "internal",
    "priority",
    "delivery_revision",
    "delivery_cursor",
    "external_account_id",
    "schema_check",
    "replay_of",
)

RECORD_SOURCE: Final = """events.event_records r
    LEFT JOIN events.external_accounts a ON a.id = r.external_account_id"""
"""Where RECORD_COLUMNS come from."""

RECORD_COLUMNS: Final = ", ".join([*(f'r."{name}"' for name in _RECORD_NAMES), "a.identifier"])
"""What `to_record` reads, for raw statements."""


def select_records() -> Select[Any]:
    """What `to_record` reads, for Core; more columns may follow."""
    return select(
        *(EVENT_RECORDS.c[name] for name in _RECORD_NAMES), EXTERNAL_ACCOUNTS.c.identifier
    ).select_from(EVENT_RECORDS.outerjoin(EXTERNAL_ACCOUNTS))


def record_key(key: EventKey) -> ColumnElement[bool]:
    """The condition that finds a record by its id or by the sender's id."""
    if isinstance(key, str):
        return EVENT_RECORDS.c.event_id == key
    return EVENT_RECORDS.c.id == key


def to_record(row: Sequence[Any]) -> EventRecord:
    """Read a row that begins with the columns above."""
    return EventRecord(
        id=row[0],
        event_id=row[1],
        name=row[2],
        source=row[3],
        timestamp=row[4],
        payload_type=PayloadType(row[5]),
        tenancy=Tenancy(environment_id=row[6], project_id=row[7], organization_id=row[8]),
        deliver_at=row[9],
        created_at=row[10],
        updated_at=row[11],
        delivered_at=row[12],
        processed_at=row[13],
        matched_count=row[14],
        cancelled_at=row[15],
        is_test=row[16],
        internal=row[17],
        priority=Priority(row[18]),
        delivery_revision=row[19],
        delivery_cursor=row[20],
        external_account_id=row[21],
        schema_check=_check(row[22]),
        replay_of=row[23],
        account_id=cast("str | None", row[24]),
    )


def check_document(check: SchemaCheck | None) -> bytes | None:
    """What a schema found, as the column holds it."""
    if check is None:
        return None
    return orjson.dumps({"version": check.version, "warnings": check.warnings})


def notes_document(event: NewEvent) -> bytes | None:
    """What few events have: a source context, what a schema found, and what replays have."""
    check = check_document(event.schema_check)
    members: list[bytes] = []
    if event.source_context is not None:
        members.append(b'"context":' + event.source_context.text)
    if check is not None:
        members.append(b'"check":' + check)
    if event.replay_of is not None:
        members.append(b'"replayOf":"%b"' % str(event.replay_of).encode())
    if event.is_addressed:
        members.append(b'"addressed":true')
    return b"{%b}" % b",".join(members) if members else None


def _check(value: Any) -> SchemaCheck | None:
    if value is None:
        return None
    # Core has read it already; raw statements with binary results give it as text or bytes.
    members = orjson.loads(value) if isinstance(value, str | bytes) else value
    return SchemaCheck(members["version"], tuple(members["warnings"]))

"""What a service has published and the log does not have yet: a table in its own schema.

Written in the statement, or the transaction, that an event tells of; an EventShipper brings it
to the log and deletes it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson
from alembic import op
from sqlalchemy import Column, MetaData, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.eventing.envelope import Belonging, PublishedEvent

__all__ = [
    "PublishedRows",
    "create_published_events_table",
    "event_from_row",
    "published_events_table",
]

_TIME: Final = "time"
_BELONGING: Final = ("environmentId", "projectId", "organizationId")


def create_published_events_table(schema: str) -> None:
    """Create the table, for a migration.

    What a released migration calls must not change: later changes get functions of their own.
    """
    op.execute(
        f"""
        CREATE TABLE {schema}.published_events (
            id uuid CONSTRAINT published_events_pkey PRIMARY KEY,
            document jsonb NOT NULL
        ) WITH (autovacuum_vacuum_scale_factor = 0.01)
        """
    )


def published_events_table(metadata: MetaData) -> Table:
    """Declare the table."""
    return Table(
        "published_events",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("document", JSONB, nullable=False),
    )


class PublishedRows:
    """The part of a hot statement that publishes events.

    `insert` is an INSERT without RETURNING, over the alias `v`, for use inside WITH. `join` is
    what follows its FROM; `v.owner` is the id that `bind` was given for the event, so that what
    did not happen is not published.
    """

    def __init__(self, schema: str, *, join: str = "") -> None:
        self._rows = RowParameters("v", id="uuid", document="jsonb", owner="uuid")
        self.insert = (
            f"INSERT INTO {schema}.published_events (id, document) "  # nosec B608 - constants
            f"SELECT v.id, v.document FROM {self._rows.source} {join}"
        ).rstrip()

    def bind(self, events: Sequence[tuple[UUID, PublishedEvent]]) -> dict[str, object]:
        """The parameters of `insert`: events, each with its owner."""
        return {**self._rows.bind([(event.id, _document(event), owner) for owner, event in events])}


def _document(event: PublishedEvent) -> bytes:
    document = event.document()
    document[_TIME] = int(event.timestamp.timestamp() * 1_000_000)
    belonging = event.belonging
    ids = (belonging.environment_id, belonging.project_id, belonging.organization_id)
    document |= {
        name: str(id_) for name, id_ in zip(_BELONGING, ids, strict=True) if id_ is not None
    }
    return orjson.dumps(document)


def event_from_row(id_: UUID, document: dict[str, Any]) -> PublishedEvent:
    """The event that a row holds."""
    replay_of = document.get("replayOf")
    return PublishedEvent(
        id=id_,
        type=document["type"],
        version=document["version"],
        timestamp=datetime.fromtimestamp(document[_TIME] / 1_000_000, UTC),
        resource_id=document["resourceId"],
        belonging=Belonging(*(_id(document.get(name)) for name in _BELONGING)),
        data=orjson.dumps(document["data"]),
        user_id=document.get("userId", ""),
        replay_of=_id(replay_of),
    )


def _id(text: str | None) -> UUID | None:
    return UUID(text) if text is not None else None

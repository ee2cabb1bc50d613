"""What a service has published and the log does not have yet: a table in its own schema.

Written in the statement, or the transaction, that an event tells of; an EventShipper brings it
to the log and deletes it. What one statement publishes is one row, however many events it is:
under load that is a part of the writing and deleting. A row holds what is sent to the log, so
that nobody takes it apart on the way.
"""

from collections.abc import Sequence
from uuid import UUID

from alembic import op
from sqlalchemy import Column, LargeBinary, MetaData, Table, Uuid

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.event_messages import write_event

__all__ = [
    "PublishedRows",
    "create_published_events_table",
    "events_of_row",
    "published_events_table",
]


def create_published_events_table(schema: str) -> None:
    """Create the table, for a migration.

    What a released migration calls must not change: later changes get functions of their own.
    """
    op.execute(
        f"""
        CREATE TABLE {schema}.published_events (
            id uuid CONSTRAINT published_events_pkey PRIMARY KEY,
            events bytea NOT NULL
        ) WITH (autovacuum_vacuum_scale_factor = 0.01)
        """
    )


def published_events_table(metadata: MetaData) -> Table:
    """Declare the table."""
    return Table(
        "published_events",
        metadata,
        # That of one of the events: these are the rows' order.
        Column("id", Uuid, primary_key=True),
        # A RecordResourceEventsRequest.
        Column("events", LargeBinary, nullable=False),
    )


class PublishedRows:
    """The part of a hot statement that publishes events.

    `insert` is an INSERT without RETURNING, over the alias `v`, for use inside WITH. `join` is
    what follows its FROM; `v.owner` is the id that `bind` was given for the event, so that what
    did not happen is not published.
    """

    def __init__(self, schema: str, *, join: str = "") -> None:
        self._rows = RowParameters("v", id="uuid", event="bytea", owner="uuid")
        # Messages one after the other are one message that holds the events of all.
        self.insert = (
            f"INSERT INTO {schema}.published_events (id, events) "  # nosec B608 - constants
            "SELECT (array_agg(v.id ORDER BY v.id))[1], string_agg(v.event, '' ORDER BY v.id) "
            f"FROM {self._rows.source} {join} HAVING count(*) > 0"
        )

    def bind(self, events: Sequence[tuple[UUID, PublishedEvent]]) -> dict[str, object]:
        """The parameters of `insert`: events, each with its owner."""
        return {**self._rows.bind([(event.id, _message(event), owner) for owner, event in events])}


def events_of_row(events: bytes) -> Sequence[pb.PublishedEvent]:
    """The events that a row holds, as they are sent to the log."""
    return pb.RecordResourceEventsRequest.FromString(events).events


def _message(event: PublishedEvent) -> bytes:
    request = pb.RecordResourceEventsRequest()
    write_event(event, request.events.add())
    return request.SerializeToString()

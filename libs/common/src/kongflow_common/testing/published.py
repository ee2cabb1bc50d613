"""What a service has published and nobody has brought to the log yet."""

from collections.abc import Sequence

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.db.engine import Database
from kongflow_common.eventing.published_rows import events_of_row

__all__ = ["published_events"]


async def published_events(database: Database, schema: str) -> Sequence[pb.PublishedEvent]:
    """The events in the table `published_events` of the schema, in their order."""
    rows = await database.pool.execute(
        f"SELECT events FROM {schema}.published_events ORDER BY id"  # nosec B608 - a test's own
    )
    return [event for (row,) in rows for event in events_of_row(row)]

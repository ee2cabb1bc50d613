"""Brings what a service has published to the log."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.published_rows import event_from_row

__all__ = ["EventLog", "EventShipper"]

_logger = logging.getLogger(__name__)

_BATCH: Final = 500
_MAX_BYTES: Final = 4 * 1024 * 1024
# Nobody waits for the log: what gathers in between goes together, at little cost.
_PAUSE_SECONDS: Final = 0.25
_PAUSE_WHILE_AWAY_SECONDS: Final = 2.0


class EventLog(Protocol):
    """Takes events in, each once however often it is sent."""

    async def record(self, events: Sequence[PublishedEvent]) -> None:
        """Log events. Raises DependencyUnavailable."""
        ...


class EventShipper:
    """Sends the rows of `schema`.published_events in the order of their ids, and deletes them.

    Several processes of a service may do so at once: the log recognises what it has.
    """

    def __init__(self, database: Database, schema: str, log: EventLog) -> None:
        self._pool = database.pool
        self._log = log
        self._read = (
            f"SELECT id, document FROM {schema}.published_events "  # nosec B608 - the program's own
            f"ORDER BY id LIMIT {_BATCH}"
        )
        self._delete = f"DELETE FROM {schema}.published_events WHERE id = ANY(%(ids)b)"  # nosec B608
        self._is_away = False

    async def run(self) -> None:
        """Ship until cancelled."""
        while True:
            try:
                shipped = await self.once()
            except DependencyUnavailable as error:
                if not self._is_away:
                    _logger.warning("what was published waits: %s", error)
                self._is_away = True
                await asyncio.sleep(_PAUSE_WHILE_AWAY_SECONDS)
                continue
            self._is_away = False
            if shipped < _BATCH:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def once(self) -> int:
        """Ship what there is, at most a batch; how many that was."""
        rows = await self._pool.execute(self._read)
        events = [event_from_row(id_, document) for id_, document in rows]
        for part in _bounded(events):
            await self._log.record(part)
            ids = array_parameter("uuid", [event.id for event in part])
            await self._pool.execute(self._delete, {"ids": ids})
        return len(events)


def _bounded(events: Sequence[PublishedEvent]) -> list[list[PublishedEvent]]:
    parts: list[list[PublishedEvent]] = []
    size = _MAX_BYTES
    for event in events:
        size += len(event.data)
        if size > _MAX_BYTES:
            parts.append([])
            size = len(event.data)
        parts[-1].append(event)
    return parts

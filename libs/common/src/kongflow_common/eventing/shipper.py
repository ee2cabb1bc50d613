"""Brings what a service has published to the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, Protocol

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.eventing.published_rows import events_of_row
from kongflow_common.supervision import Backoff

__all__ = ["EventLog", "EventShipper"]

_logger = logging.getLogger(__name__)

# A row has several events when much happens.
_ROWS: Final = 100
# Few calls are cheap, but one of very many events keeps others waiting while it is read.
_MAX_EVENTS: Final = 2_000
_MAX_BYTES: Final = 4 * 1024 * 1024
# Nobody waits for the log: what gathers in between goes together, at little cost. An idle system
# has a shipper in each service, and each look is a transaction. Where much happens more gathers: a
# look with its call costs about what so many events do.
_PAUSE: Final = Backoff(initial=0.25, longest=1.0)
_MANY_EVENTS: Final = 100
_PAUSE_WHILE_AWAY_SECONDS: Final = 2.0


class EventLog(Protocol):
    """Takes events in, each once however often it is sent."""

    async def record(self, events: Sequence[pb.PublishedEvent]) -> None:
        """Log events. Raises DependencyUnavailable."""
        ...


class _Shipped(NamedTuple):
    """How much a look at what is published has shipped."""

    rows: int
    events: int


class EventShipper:
    """Sends the rows of `schema`.published_events in the order of their ids, and deletes them.

    Several processes of a service may do so at once: the log recognises what it has.
    """

    def __init__(
        self,
        database: Database,
        schema: str,
        log: EventLog,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pool = database.pool
        self._log = log
        self._sleep = sleep
        self._read = (
            f"SELECT id, events FROM {schema}.published_events "  # nosec B608 - the program's own
            f"ORDER BY id LIMIT {_ROWS}"
        )
        self._delete = f"DELETE FROM {schema}.published_events WHERE id = ANY(%(ids)b)"  # nosec B608
        self._is_away = False

    async def run(self) -> None:
        """Ship until cancelled."""
        empty_looks = 0
        while True:
            try:
                shipped = await self._look()
            except DependencyUnavailable as error:
                if not self._is_away:
                    _logger.warning("what was published waits: %s", error)
                self._is_away = True
                await self._sleep(_PAUSE_WHILE_AWAY_SECONDS)
                continue
            self._is_away = False
            empty_looks = 0 if shipped.rows else empty_looks + 1
            if shipped.rows < _ROWS:
                await self._sleep(_pause(shipped, empty_looks))

    async def once(self) -> int:
        """Ship what there is, of 100 rows at most; of how many that was.

        What is sent and not deleted, because something failed in between, is sent again.
        """
        return (await self._look()).rows

    async def _look(self) -> _Shipped:
        rows = await self._pool.execute(self._read)
        events = [event for _, row in rows for event in events_of_row(row)]
        if rows:
            for part in _bounded(events):
                await self._log.record(part)
            ids = array_parameter("uuid", [id_ for id_, _ in rows])
            await self._pool.execute(self._delete, {"ids": ids})
        return _Shipped(len(rows), len(events))


def _pause(shipped: _Shipped, empty_looks: int) -> float:
    if shipped.events >= _MANY_EVENTS:
        return _PAUSE.longest
    return _PAUSE.delay(max(empty_looks, 1))


def _bounded(events: Sequence[pb.PublishedEvent]) -> list[list[pb.PublishedEvent]]:
    """The events in parts that the log takes."""
    parts: list[list[pb.PublishedEvent]] = []
    size = _MAX_BYTES
    for event in events:
        size += event.ByteSize()
        if size > _MAX_BYTES or len(parts[-1]) >= _MAX_EVENTS:
            parts.append([])
            size = event.ByteSize()
        parts[-1].append(event)
    return parts

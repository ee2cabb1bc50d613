"""Dispatchers in memory, so that an event can be matched as it comes in."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select, tuple_

from kongflow_common.db.engine import Database
from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_events.adapters.compiled_dispatchers import CompiledDispatchers, filter_bytes
from kongflow_events.adapters.dispatcher_rows import select_dispatchers, to_dispatcher
from kongflow_events.adapters.tables import DISPATCHER_VERSIONS, EVENT_DISPATCHERS
from kongflow_events.domain.dispatcher_index import DispatcherIndex, MatchedDispatchers
from kongflow_events.domain.dispatcher_match import MatchableEvent

__all__ = ["MemoryDispatcherDirectory"]

_logger = logging.getLogger(__name__)

# About 4 KB of memory each.
_MAX_DISPATCHERS: Final = 150_000
_MAX_FILTER_BYTES: Final = 64 * 1024 * 1024
_MOST_CANDIDATES: Final = 200
# Few enough that compiling them holds up no other call for long.
_PAGE: Final = 100
_AWAY_SECONDS: Final = 1.0
_TOO_LARGE_SECONDS: Final = 60.0

_VERSIONS = DISPATCHER_VERSIONS.c
_DISPATCHERS = EVENT_DISPATCHERS.c


class MemoryDispatcherDirectory:
    """Implements DispatcherDirectory; `run` reads what it is asked for, until cancelled.

    What it knows may be out of date at any moment. That harms nothing: an answer names the
    version that it is of, and who stores it does so only if that is still the environment's.
    Environments that were asked for least recently go first, beyond a number of dispatchers or
    bytes of filters; one that exceeds these alone is not held.
    """

    def __init__(
        self,
        database: Database,
        compiled: CompiledDispatchers,
        *,
        max_dispatchers: int = _MAX_DISPATCHERS,
        max_filter_bytes: int = _MAX_FILTER_BYTES,
        most_candidates: int = _MOST_CANDIDATES,
    ) -> None:
        self._database = database
        self._compiled = compiled
        self._max_dispatchers = max_dispatchers
        self._max_filter_bytes = max_filter_bytes
        self._most_candidates = most_candidates
        self._held: OrderedDict[UUID, DispatcherIndex] = OrderedDict()
        self._too_large: dict[UUID, float] = {}
        """Until when nothing is read for an environment."""
        self._wanted: OrderedDict[UUID, None] = OrderedDict()
        self._asked = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def match(
        self, environment_id: UUID, name: str, source: str, event: MatchableEvent
    ) -> MatchedDispatchers | None:
        """Those that take the event; see DispatcherDirectory.match."""
        index = self._held.get(environment_id)
        if index is None:
            self.refresh(environment_id)
            return None
        self._held.move_to_end(environment_id)
        return index.match(name, source, event, at_most=self._most_candidates)

    def refresh(self, environment_id: UUID) -> None:
        """Has the environment's dispatchers read anew; see DispatcherDirectory.refresh."""
        if environment_id in self._too_large:
            if time.monotonic() < self._too_large[environment_id]:
                return
            del self._too_large[environment_id]
        self._wanted[environment_id] = None
        self._asked.set()

    async def run(self) -> None:
        """Reads dispatchers as they are asked for, one environment after the other."""
        while True:
            if not self._wanted:
                self._asked.clear()
                await self._asked.wait()
            environment_id, _ = self._wanted.popitem(last=False)
            try:
                await self._read(environment_id)
            except (DependencyUnavailable, Contended) as error:
                # Whoever sends the next event asks again.
                _logger.debug("dispatchers are not read now: %s", error)
                await asyncio.sleep(_AWAY_SECONDS)

    async def _read(self, environment_id: UUID) -> None:
        version, complete_since = await self._version(environment_id)
        index = self._held.get(environment_id)
        if index is None or index.version < complete_since:
            index = DispatcherIndex()
        elif index.version >= version:
            return
        # What changes while this reads has a later version, and so is read the next time.
        after = (index.version, UUID(int=0))
        while True:
            rows = await self._page(environment_id, after, version)
            for row in rows:
                self._take(index, row)
                after = (row.version, row.id)
            if self._is_too_large(index):
                self._give_up(environment_id)
                return
            if len(rows) < _PAGE:
                break
            await asyncio.sleep(0)
        index.version = version
        self._held[environment_id] = index
        self._held.move_to_end(environment_id)
        self._make_room()

    async def _version(self, environment_id: UUID) -> tuple[int, int]:
        statement = select(_VERSIONS.version, _VERSIONS.complete_since).where(
            _VERSIONS.environment_id == environment_id
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return (row.version, row.complete_since) if row is not None else (0, 0)

    async def _page(
        self, environment_id: UUID, after: tuple[int, UUID], version: int
    ) -> Sequence[Row[Any]]:
        statement = (
            select_dispatchers()
            .add_columns(_DISPATCHERS.version)
            .where(
                _DISPATCHERS.environment_id == environment_id,
                tuple_(_DISPATCHERS.version, _DISPATCHERS.id) > tuple_(*after),
                _DISPATCHERS.version <= version,
            )
            .order_by(_DISPATCHERS.version, _DISPATCHERS.id)
            .limit(_PAGE)
        )
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).all()

    def _take(self, index: DispatcherIndex, row: Row[Any]) -> None:
        dispatcher = to_dispatcher(row)
        specification = dispatcher.specification
        if specification.enabled and not specification.manual:
            index.put(self._compiled.compile(dispatcher), filter_bytes(dispatcher))
        else:
            index.remove(dispatcher.id)

    def _give_up(self, environment_id: UUID) -> None:
        self._held.pop(environment_id, None)
        now = time.monotonic()
        over = [each for each, until in self._too_large.items() if until <= now]
        for each in over:
            del self._too_large[each]
        self._too_large[environment_id] = now + _TOO_LARGE_SECONDS
        _logger.info(
            "an environment has too many dispatchers to be held in memory",
            extra={"fields": {"environment_id": str(environment_id)}},
        )

    def _is_too_large(self, index: DispatcherIndex) -> bool:
        return len(index) > self._max_dispatchers or index.size > self._max_filter_bytes

    def _make_room(self) -> None:
        while (
            sum(map(len, self._held.values())) > self._max_dispatchers
            or sum(each.size for each in self._held.values()) > self._max_filter_bytes
        ):
            self._held.popitem(last=False)

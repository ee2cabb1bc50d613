"""Tells what happens to resources, as the log has it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.watch_places import WatchPlaces
from kongflow_events.application.resource_events import LogPage, LogReader
from kongflow_events.domain.errors import (
    ResumeTokenExpired,
    ResumeTokenForeign,
    TooManyWatches,
)
from kongflow_events.domain.log_position import (
    KEPT,
    LAST_SEQUENCE,
    Horizon,
    LogPosition,
    LogSelection,
)

__all__ = ["MAX_WATCHES", "Told", "WatchEvents"]

MAX_WATCHES: Final = 64
"""At most so many watches of one server at a time."""
_LOOK_SECONDS: Final = 0.5
_SIGN_OF_LIFE: Final = 30
"""After so many looks that showed nothing, nothing is told: a caller that is gone shows so."""


@dataclass(frozen=True, slots=True)
class Told:
    """Events in the order of the log, and where to go on behind them."""

    events: Sequence[PublishedEvent]
    position: LogPosition


class WatchEvents:
    """Watches, each of which goes on until its caller ends it.

    A watch reads the log, and nothing else: a wake-up that is lost costs half a second. Nothing
    is held for a caller: it gets what the next look shows when it has taken the answer before.
    """

    def __init__(
        self,
        log: LogReader,
        *,
        pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(_LOOK_SECONDS),
    ) -> None:
        self._log = log
        self._pause = pause
        self._places = WatchPlaces(MAX_WATCHES, TooManyWatches)

    @property
    def watches(self) -> int:
        """How many go on."""
        return self._places.taken

    async def __call__(
        self, selection: LogSelection, position: LogPosition | None
    ) -> AsyncGenerator[Told, None]:
        """Tell what follows a position, or what happens from now on, until closed.

        Raises TooManyWatches, ResumeTokenExpired and ResumeTokenForeign before anything is told,
        and the last at any time when the log is restored.
        """
        with self._places.take():
            cursor = await self._begin(position)
            if position is None:
                yield Told((), cursor.position)
            quiet = -1
            while True:
                page = await self._log.read(selection, cursor.position)
                cursor.move(page)
                quiet = 0 if page.events else quiet + 1
                if not quiet or quiet % _SIGN_OF_LIFE == 0:
                    yield Told(page.events, cursor.position)
                if not page.full:
                    await self._pause()

    async def _begin(self, position: LogPosition | None) -> "_Cursor":
        horizon = await self._log.horizon()
        server = await self._log.server_id()
        if position is None:
            return _Cursor(horizon.begin(server), horizon)
        if position.server != server or horizon.lies_behind(position):
            raise ResumeTokenForeign
        if position.since < horizon.at - KEPT:
            raise ResumeTokenExpired(KEPT.days)
        return _Cursor(position, horizon)


class _Cursor:
    """A position that moves with what is read, and never past a transaction that is open."""

    def __init__(self, position: LogPosition, horizon: Horizon) -> None:
        self.position = position
        self._earlier = horizon

    def move(self, page: LogPage) -> None:
        """Move behind what a look showed. Raises ResumeTokenForeign."""
        if page.horizon.lies_behind(self.position):
            raise ResumeTokenForeign
        if page.last is not None:
            xid, sequence = page.last
            self.position = replace(self.position, xid=xid, sequence=sequence)
        if page.full:
            return
        # There is no more below the horizon, so reading goes on from there.
        reached = page.horizon.xmin - 1
        if reached >= self.position.xid:
            since = self.position.since
            if page.horizon.is_over(self._earlier):
                # Whoever logs from now on began after the earlier look.
                since = max(since, self._earlier.at)
                self._earlier = page.horizon
            self.position = replace(self.position, xid=reached, sequence=LAST_SEQUENCE, since=since)

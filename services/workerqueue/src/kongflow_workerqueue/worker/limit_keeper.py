"""Hands what a limit held back over as soon as the limit takes it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.admit_limited import AdmitLimited
from kongflow_workerqueue.application.ports import ClaimedJob, ClaimedLimits, FinishedJob

__all__ = ["LimitKeeper"]

logger = logging.getLogger(__name__)

_AWAY_SECONDS = 1.0
_REST = 20.0
"""How many times as long as a sweep took no other one is made: they cost a twentieth of a core."""
_MOST_LANES = 500
_BEFORE_ALL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class _Held:
    queue: str
    limits: ClaimedLimits | None


@dataclass(slots=True)
class _Wanted:
    """What the next look is to look at: lanes with the concurrency keys they gave free."""

    lanes: dict[UUID, str | None] = field(default_factory=dict)
    sweep: bool = True


class LimitKeeper:
    """Has the next job of a lane admitted when one of it ends, or when its rate permits.

    It knows only what this worker has run. What others leave behind (jobs that are taken back,
    cancelled or due) is found by sweeps over all lanes, which a duty asks for, and whoever makes
    jobs available. `on_freed` is told of queues whose running jobs are limited.
    """

    def __init__(self, admit: AdmitLimited, on_freed: Callable[[str], None]) -> None:
        self._admit = admit
        self._on_freed = on_freed
        self._limited_queues: frozenset[str] = frozenset()
        self._held: dict[tuple[int, int], _Held] = {}
        self._wanted = _Wanted()
        self._event = asyncio.Event()
        self._timers: dict[UUID, float] = {}
        self._sweep_after = _BEFORE_ALL
        self._sweep_at = 0.0
        self._is_crowded = False

    def set_limited_queues(self, queues: frozenset[str]) -> None:
        """Takes the names of the queues whose running jobs are limited."""
        for queue in self._limited_queues ^ queues:
            self._on_freed(queue)
        self._limited_queues = queues

    def claimed(self, jobs: Iterable[ClaimedJob]) -> None:
        """Notes that jobs begin."""
        for job in jobs:
            limits = job.limits
            if limits is not None or job.queue in self._limited_queues:
                self._held[job.id.int, job.turn] = _Held(job.queue, limits)
                if limits is not None and limits.is_rated:
                    self._want(limits.lane, None)

    def written(self, jobs: Iterable[FinishedJob]) -> None:
        """Notes that the ledger knows of jobs that they run no longer."""
        if not self._held:
            return
        if self._is_crowded:
            self.request_sweep()
        for job in jobs:
            held = self._held.pop((job.id.int, job.turn), None)
            if held is None:
                continue
            if held.limits is not None:
                self._want(held.limits.lane, held.limits.concurrency_key)
            if held.queue in self._limited_queues:
                self._on_freed(held.queue)
                # Whoever waits for a place in the queue may stand in any lane.
                self.request_sweep()

    def request_sweep(self) -> None:
        """Says that jobs with limits may have become available."""
        self._wanted.sweep = True
        self._event.set()

    async def run(self) -> None:
        """Admits on request, and when a rate permits, until cancelled."""
        while True:
            await self._rest()
            try:
                await self._look()
            except (DependencyUnavailable, Contended) as error:
                logger.debug("jobs with limits are not admitted now: %s", error)
                self._wanted.sweep = True
                await asyncio.sleep(_AWAY_SECONDS)

    def _want(self, lane: UUID, key: str | None) -> None:
        self._wanted.lanes[lane] = key or self._wanted.lanes.get(lane)
        self._event.set()

    async def _rest(self) -> None:
        timers = list(self._timers.values())
        if self._wanted.sweep:
            timers.append(self._sweep_at)
        wait = max(min(timers) - time.monotonic(), 0.0) if timers else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._event.wait()
        self._event.clear()

    async def _look(self) -> None:
        now = time.monotonic()
        for lane in [lane for lane, at in self._timers.items() if at <= now]:
            del self._timers[lane]
            _ = self._wanted.lanes.setdefault(lane, None)
        sweep = self._wanted.sweep and self._sweep_at <= now
        lanes = list(self._wanted.lanes.items())
        if not (lanes or sweep):
            return
        self._wanted = _Wanted(
            lanes=dict(lanes[_MOST_LANES:]), sweep=self._wanted.sweep and not sweep
        )
        if self._wanted.lanes:
            self._event.set()
        admission = await self._admit(
            dict(lanes[:_MOST_LANES]), sweep_after=self._sweep_after if sweep else None
        )
        began, now = now, time.monotonic()
        self._is_crowded = (self._is_crowded and not sweep) or admission.is_crowded
        if sweep and not admission.is_crowded:
            self._sweep_after = admission.next_sweep or _BEFORE_ALL
        if sweep and not admission.admitted:
            self._sweep_at = now + _REST * (now - began)
        for lane, wait in admission.waits.items():
            self._timers[lane] = now + wait.total_seconds()

"""Plans the starts of new runs while their creator waits, or not at all (docs/adr/0032)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from types import TracebackType
from typing import Final, Self

from kongflow_common.batcher import Batcher
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.rpc.deadline import time_left
from kongflow_runs.domain.run import NewRun
from kongflow_runs.domain.start import StartedAs

__all__ = ["TimelyStartPlanner"]

_logger = logging.getLogger(__name__)

_PLAN_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 1.0
_NEVER: Final = 1_000_000
"""A number of waiting calls for whose company nobody waits."""


class TimelyStartPlanner:
    """The StartPlanner that never makes creations wait for longer than a moment.

    Calls that come while others are waiting for an answer share the next question. What does not
    succeed in time is left to the queued starts. Then nobody is asked for a second, and after it
    by one call at a time, until it succeeds again.
    """

    def __init__(
        self,
        plan_starts: Callable[[Sequence[NewRun]], Awaitable[Sequence[StartedAs]]],
        *,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._plan_starts = plan_starts
        self._pause_seconds = pause_seconds
        self._is_late = False
        self._not_before = 0.0
        self._questions: Batcher[Sequence[NewRun], Sequence[StartedAs]] = Batcher(
            self._ask, name="starts of new runs", threshold=_NEVER
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._questions.close()

    async def plan(self, runs: Sequence[NewRun]) -> Sequence[StartedAs | None]:
        """How the runs go on, all or none of them; see StartPlanner.plan."""
        now = time.monotonic()
        if now < self._not_before:
            return [None] * len(runs)
        if self._is_late:
            self._not_before = now + self._pause_seconds
        try:
            # Of a caller's own time half is left for storing the runs.
            async with asyncio.timeout(time_left(2 * _PLAN_SECONDS) / 2):
                plans = await self._questions.submit(runs)
        except (DependencyUnavailable, TimeoutError) as error:
            self._is_late = True
            self._not_before = time.monotonic() + self._pause_seconds
            _say(logging.INFO, runs, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, their queued starts meet it too
            _say(logging.WARNING, runs, error)
        else:
            self._is_late = False
            self._not_before = 0.0
            return plans
        return [None] * len(runs)

    async def _ask(self, calls: Sequence[Sequence[NewRun]]) -> Sequence[Sequence[StartedAs]]:
        try:
            # Whoever waited has given up by then.
            async with asyncio.timeout(_PLAN_SECONDS):
                plans = iter(await self._plan_starts([run for runs in calls for run in runs]))
        except TimeoutError:
            raise DependencyUnavailable("jobs") from None
        return [list(islice(plans, len(runs))) for runs in calls]


def _say(level: int, runs: Sequence[NewRun], error: Exception) -> None:
    _logger.log(
        level,
        "the starts of new runs are left to the worker queue",
        exc_info=error if level >= logging.WARNING else None,
        extra={"fields": {"runs": len(runs), "error": str(error)}},
    )

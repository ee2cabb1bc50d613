"""Keeps what another service says for a few seconds."""

import asyncio
import contextvars
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["FreshAnswers"]

_logger = logging.getLogger(__name__)

KEEP_SECONDS = 4.0
"""How long an answer is used, from the moment its question was put: with what is under way
then, a revocation takes effect within 5 seconds."""
REFRESH_SECONDS = 2.0
"""From this age on, an answer in use is asked for anew while it still serves."""
KEEP_UNKNOWN_SECONDS = 1.0
"""How long "unknown" is believed: what was made is known soon."""
RETRY_REFRESH_SECONDS = 0.5
CAPACITY = 10_000
MAX_QUESTIONS = 64
"""How many questions are under way at once: made-up keys must not become a flood."""

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


@dataclass(slots=True)
class _Answer(Generic[_Value]):
    value: _Value | None
    asked_at: float
    next_refresh_at: float


class FreshAnswers(Generic[_Key, _Value]):
    """A bounded cache whose answers are young: see the constants above.

    `ask` raises when there is no answer, and must have a deadline; None is an answer. `what` is
    asked for, as a log line names it. `now` is a monotonic clock in seconds.
    """

    def __init__(
        self,
        ask: Callable[[_Key], Awaitable[_Value | None]],
        *,
        what: str,
        now: Callable[[], float] = time.monotonic,
        capacity: int = CAPACITY,
    ) -> None:
        self._ask: Callable[[_Key], Awaitable[_Value | None]] = ask
        self._what = what
        self._now = now
        self._capacity = capacity
        self._answers: OrderedDict[_Key, _Answer[_Value]] = OrderedDict()
        self._asking: dict[_Key, asyncio.Task[_Value | None]] = {}
        self._places = asyncio.Semaphore(MAX_QUESTIONS)

    async def get(self, key: _Key) -> _Value | None:
        """The answer, at most 4 seconds old; raises what `ask` raises."""
        answer = self._answers.get(key)
        if answer is not None:
            now = self._now()
            keep = KEEP_SECONDS if answer.value is not None else KEEP_UNKNOWN_SECONDS
            if now < answer.asked_at + keep:
                self._answers.move_to_end(key)
                if answer.value is not None and now >= answer.next_refresh_at:
                    answer.next_refresh_at = now + RETRY_REFRESH_SECONDS
                    self._refresh(key)
                return answer.value
        # Shielded: a caller that leaves does not take the answer from the others.
        return await asyncio.shield(self._begin(key))

    async def close(self) -> None:
        """Give up what is being asked."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: _Key) -> asyncio.Task[_Value | None]:
        task = self._asking.get(key)
        if task is None:
            # In a context of its own: the question is nobody's call in particular.
            task = asyncio.get_running_loop().create_task(
                self._fetch(key), context=contextvars.Context()
            )
            self._asking[key] = task
            task.add_done_callback(_consume)
        return task

    def _refresh(self, key: _Key) -> None:
        if key not in self._asking:
            self._begin(key).add_done_callback(self._report)

    async def _fetch(self, key: _Key) -> _Value | None:
        try:
            async with self._places:
                asked_at = self._now()
                value = await self._ask(key)
        finally:
            del self._asking[key]
        self._answers[key] = _Answer(value, asked_at, asked_at + REFRESH_SECONDS)
        self._answers.move_to_end(key)
        if len(self._answers) > self._capacity:
            self._answers.popitem(last=False)
        return value

    def _report(self, task: asyncio.Task[_Value | None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.warning(
                "%s could not be looked up ahead of time",
                self._what,
                extra={"fields": {"error": str(error)}},
            )


def _consume(task: asyncio.Task[_Value]) -> None:
    """Whoever waits gets the error; when all have left, nobody is to be told of it."""
    if not task.cancelled():
        task.exception()

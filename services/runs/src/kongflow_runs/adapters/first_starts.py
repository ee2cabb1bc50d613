"""The first try of a run's start, in the process that has created it (docs/adr/0030)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from kongflow_common.batcher import Batcher
from kongflow_common.errors import DependencyUnavailable, ResourceExhausted
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_runs.domain.run import NewRun

__all__ = ["FirstStarts"]

_logger = logging.getLogger(__name__)

# A claim lasts 15 seconds, of which the relay wants 10 for what is handed over in memory.
_WAIT_SECONDS: Final = 2.0
_START_SECONDS: Final = 2.0
_MOST_WAITING: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Created:
    run: NewRun
    message: OutboxMessage
    expires_at: float


class FirstStarts:
    """Starts runs that were committed a moment ago; what fails is left to the worker queue.

    The queued start of each run is in the outbox, claimed by the relay of this process: it is
    deleted when the run is started, goes to the worker queue when that failed or would have to
    wait, and is found there by the next claim when this process dies.
    """

    def __init__(
        self, start: Callable[[Sequence[NewRun]], Awaitable[None]], relay: OutboxRelay
    ) -> None:
        self._start = start
        self._relay = relay
        self._batcher: Batcher[_Created, None] = Batcher(
            self._flush, name="first starts", max_pending=_MOST_WAITING
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._batcher.close()

    def take(self, created: Sequence[tuple[NewRun, OutboxMessage]]) -> None:
        """Start runs soon that were committed with their messages, claimed by the relay."""
        expires_at = time.monotonic() + _WAIT_SECONDS
        for run, message in created:
            try:
                self._batcher.post(_Created(run, message, expires_at))
            except ResourceExhausted:
                self._relay.offer([message])

    async def _flush(self, created: Sequence[_Created]) -> Sequence[None]:
        now = time.monotonic()
        due = [each for each in created if each.expires_at > now]
        if len(due) < len(created):
            self._relay.offer([each.message for each in created if each.expires_at <= now])
        if due:
            await self._try(due)
        return [None] * len(created)

    async def _try(self, created: Sequence[_Created]) -> None:
        messages = [each.message for each in created]
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._start([each.run for each in created])
        except Exception as error:
            # Whatever it was, the worker queue tries again, and says so when it gives up.
            expected = isinstance(error, DependencyUnavailable | TimeoutError)
            _logger.log(
                logging.INFO if expected else logging.WARNING,
                "runs were not started at once",
                exc_info=None if expected else error,
                extra={"fields": {"runs": len(created), "error": str(error)}},
            )
            self._relay.offer(messages)
        else:
            self._relay.carried_out(messages)

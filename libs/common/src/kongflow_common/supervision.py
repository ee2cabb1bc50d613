"""Background work that does not die silently."""

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

__all__ = ["BackgroundTasks", "Backoff"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds that double from `initial` up to `longest`."""

    initial: float = 0.1
    longest: float = 5.0

    def delay(self, failures: int) -> float:
        """The delay after the n-th failure in a row, n from 1."""
        return min(self.initial * 2.0 ** min(failures - 1, 30), self.longest)


_DEAF_SECONDS = 2.0


class BackgroundTasks:
    """The background loops of a process; cancelled together when it ends.

    Those that still run after `deaf_seconds` are cancelled again.
    """

    def __init__(self, *, deaf_seconds: float = _DEAF_SECONDS) -> None:
        self._deaf_seconds = deaf_seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def supervise(
        self, name: str, run: Callable[[], Awaitable[None]], *, backoff: Backoff | None = None
    ) -> asyncio.Task[None]:
        """Keep `run` going: one that raises is logged and started again after a while.

        That includes a CancelledError that nobody asked for. One that returns has ended. The
        back-off begins anew once a run lasted longer than the longest delay.
        """
        if self._closing:
            raise RuntimeError(f"background task {name} was started while the process ends")
        task = asyncio.get_running_loop().create_task(
            self._keep_running(name, run, backoff or Backoff()),
            name=name,
            # A loop belongs to no caller: not to the trace or the principal that began it.
            context=contextvars.Context(),
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancel what runs and wait for it to end."""
        self._closing = True
        tasks = list(self._tasks)
        running = set(tasks)
        while running:
            for task in running:
                task.cancel()
            # Before Python 3.12 asyncio.wait_for() forgets a cancellation that comes as it is done
            # (the Redis client sends its commands in one): what awaited it would run for ever.
            _, running = await asyncio.wait(running, timeout=self._deaf_seconds)
            for task in running:
                logger.warning("background task %s is told again to end", task.get_name())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_running(
        self, name: str, run: Callable[[], Awaitable[None]], backoff: Backoff
    ) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await run()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                    raise
                if self._closing:
                    # Cancelled, and then something else went wrong while it cleaned up.
                    logger.exception("background task %s failed while it ended", name)
                    return
                failures = 1 if time.monotonic() - began > backoff.longest else failures + 1
                delay = backoff.delay(failures)
                logger.exception(
                    "background task %s failed; it starts again in %.1f s", name, delay
                )
                await asyncio.sleep(delay)
            else:
                return


def _is_being_cancelled() -> bool:
    """Whether somebody wants the current task to end.

    Otherwise a CancelledError comes from something that it awaited, and would end it unnoticed.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

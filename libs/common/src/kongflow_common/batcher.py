"""Group commit: items that are submitted at about the same time become one flush.

One writer, because two halve the batches and double the database's work. It waits only under
load: after a batch of n >= `threshold` until n more are pending, `max_wait` at most; so an item
that finds the writer idle leaves in the same turn of the loop, and a lone caller never waits.
"""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from kongflow_common.errors import (
    Contended,
    DependencyUnavailable,
    ResourceExhausted,
)
from kongflow_common.supervision import Backoff

__all__ = ["Batcher", "is_data_error"]

In = TypeVar("In")
Out = TypeVar("Out")

logger = logging.getLogger(__name__)

_CONTENDED_ATTEMPTS = 3


def is_data_error(error: Exception) -> bool:
    """Whether an error may come from one item of a batch rather than from all of them."""
    return not isinstance(error, DependencyUnavailable | Contended | ResourceExhausted)


class _Entry(Generic[In, Out]):
    """An item on its way; `waiter` is None when it was posted."""

    __slots__ = ("item", "waiter")

    def __init__(self, item: In, waiter: asyncio.Future[Out] | None) -> None:
        self.item = item
        self.waiter = waiter


class Batcher(Generic[In, Out]):
    """Gathers items and flushes them in batches, one batch at a time, in the order they came.

    `flush` takes the items and answers with as many results in the same order; an Exception in
    place of a result fails that item alone. It must take effect wholly or not at all, because a
    batch that raises is tried again in halves when `is_poison` says that one item may be at
    fault, so that only that one fails. Errors of the whole (DependencyUnavailable) fail the batch.

    `max_wait` and `linger` are in seconds.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[In]], Awaitable[Sequence[Out | Exception]]],
        *,
        name: str,
        max_items: int = 500,
        max_wait: float = 0.010,
        threshold: int = 4,
        linger: float = 0.0,
        max_pending: int = 20_000,
        is_poison: Callable[[Exception], bool] = is_data_error,
        backoff: Backoff | None = None,
    ) -> None:
        self._flush = flush
        self._name = name
        self._max_items = max_items
        self._max_wait = max_wait
        self._threshold = threshold
        self._linger = linger
        self._max_pending = max_pending
        self._is_poison = is_poison
        self._backoff = backoff or Backoff(initial=0.1, longest=2.0)
        self._pending: deque[_Entry[In, Out]] = deque()
        self._waited_for = 0
        """How many of the pending items somebody waits for."""
        self._flushing: Sequence[_Entry[In, Out]] = ()
        self._writer: asyncio.Task[None] | None = None
        self._alarm: asyncio.Future[None] | None = None
        self._alarm_count = 0
        self._alarm_on_submit = False
        self._closing = False

    @property
    def pending(self) -> int:
        """How many items wait for their flush."""
        return len(self._pending)

    async def submit(self, item: In) -> Out:
        """Hand an item over and wait for its result; raises what its flush says of it.

        Raises ResourceExhausted when too many are pending already. Cancelling the caller
        withdraws an item that is not being flushed yet, and never harms its neighbours.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Out] = loop.create_future()
        self._append(_Entry(item, waiter), loop)
        return await waiter

    async def submit_all(self, items: Sequence[In]) -> list[Out | Exception]:
        """Hand items over and wait for all results; what `submit` would raise stands in place.

        A task for each of many items costs several times as much as the item's place here.
        """
        loop = asyncio.get_running_loop()
        waiters: list[asyncio.Future[Out]] = []
        results: list[Out | Exception] = []
        try:
            for item in items:
                waiter: asyncio.Future[Out] = loop.create_future()
                # Before it is appended: an item that is refused has its error here too.
                waiters.append(waiter)
                try:
                    self._append(_Entry(item, waiter), loop)
                except ResourceExhausted as error:
                    waiter.set_exception(error)
            for waiter in waiters:
                try:
                    results.append(await waiter)
                except Exception as error:  # noqa: BLE001 - each has its own result
                    results.append(error)
        finally:
            # The caller was cancelled: what is not being flushed yet is withdrawn.
            for waiter in waiters[len(results) :]:
                waiter.cancel()
        return results

    def post(self, item: In) -> None:
        """Hand an item over without waiting; it may linger for company.

        While a dependency is unavailable posted items are kept and tried again; other failures
        are logged. Raises ResourceExhausted when too many are pending already.
        """
        self._append(_Entry(item, None), asyncio.get_running_loop())

    async def close(self) -> None:
        """Flush what is pending, each batch tried once, and end."""
        self._closing = True
        if self._writer is not None:
            self._sound_alarm()
            # It says of itself how it ended.
            await asyncio.wait([self._writer])

    def _append(self, entry: _Entry[In, Out], loop: asyncio.AbstractEventLoop) -> None:
        if self._closing:
            raise RuntimeError(f"batcher {self._name} is closed")
        if len(self._pending) >= self._max_pending:
            raise ResourceExhausted(f"too much work is waiting in {self._name}")
        self._pending.append(entry)
        if entry.waiter is not None:
            self._waited_for += 1
        if self._writer is None:
            # The writer belongs to no caller: not to the trace of the first.
            self._writer = loop.create_task(
                self._run(), name=f"batcher {self._name}", context=contextvars.Context()
            )
            self._writer.add_done_callback(self._writer_ended)
        elif len(self._pending) >= self._alarm_count or (
            self._alarm_on_submit and entry.waiter is not None
        ):
            self._sound_alarm()

    def _sound_alarm(self) -> None:
        alarm = self._alarm
        if alarm is not None and not alarm.done():
            alarm.set_result(None)

    def _writer_ended(self, writer: asyncio.Task[None]) -> None:
        """Fail whoever waits if the writer died; the next item starts another."""
        self._writer = None
        self._alarm = None
        if writer.cancelled():
            error: BaseException = DependencyUnavailable(self._name)
        else:
            error = writer.exception() or RuntimeError(f"batcher {self._name} has ended")
        if not writer.cancelled() and writer.exception() is not None:
            logger.critical("the writer of batcher %s died", self._name, exc_info=error)
        orphans = [*self._flushing, *self._pending]
        self._flushing = ()
        self._pending.clear()
        self._waited_for = 0
        for entry in orphans:
            if entry.waiter is not None and not entry.waiter.done():
                entry.waiter.set_exception(error)

    async def _run(self) -> None:
        failures = 0
        while True:
            if not self._pending:
                if self._closing:
                    return
                await self._wait(None, count=1, on_submit=True)
                continue
            if self._linger and not self._waited_for:
                await self._wait(self._linger, count=self._max_items, on_submit=True)
            self._flushing = self._next_batch()
            if not self._flushing:
                continue
            size = len(self._flushing)
            kept = await self._write(self._flushing)
            self._flushing = ()
            if kept:
                failures += 1
                self._keep(kept)
                await self._wait(self._backoff.delay(failures), count=None, on_submit=True)
                continue
            failures = 0
            if size >= self._threshold and len(self._pending) < size:
                await self._wait(self._max_wait, count=size, on_submit=False)

    async def _wait(self, seconds: float | None, *, count: int | None, on_submit: bool) -> None:
        """Wait for time to pass, for `count` pending items, for a submitted one, or for close."""
        if self._closing or (count is not None and len(self._pending) >= count):
            return
        loop = asyncio.get_running_loop()
        self._alarm = loop.create_future()
        self._alarm_count = self._max_pending + 1 if count is None else count
        self._alarm_on_submit = on_submit
        timer = loop.call_later(seconds, self._sound_alarm) if seconds is not None else None
        try:
            await self._alarm
        finally:
            self._alarm = None
            if timer is not None:
                timer.cancel()

    def _next_batch(self) -> Sequence[_Entry[In, Out]]:
        batch: list[_Entry[In, Out]] = []
        while self._pending and len(batch) < self._max_items:
            entry = self._pending.popleft()
            if entry.waiter is not None:
                self._waited_for -= 1
                if entry.waiter.done():
                    # Its caller was cancelled and has withdrawn it.
                    continue
            batch.append(entry)
        return batch

    async def _write(self, batch: Sequence[_Entry[In, Out]]) -> list[_Entry[In, Out]]:
        """Flush a batch and tell the waiters; the posted entries that must be tried again."""
        try:
            results = await self._flush_past_contention([entry.item for entry in batch])
        except Exception as error:  # noqa: BLE001 - it becomes the answer to the waiters
            if len(batch) == 1 or not self._is_poison(error):
                return self._settle(batch, [error] * len(batch))
            middle = len(batch) // 2
            return [*await self._write(batch[:middle]), *await self._write(batch[middle:])]
        if len(results) != len(batch):
            # It has taken effect, so trying again in halves would be wrong.
            wrong = RuntimeError(f"{self._name}: {len(results)} results for {len(batch)} items")
            return self._settle(batch, [wrong] * len(batch))
        return self._settle(batch, results)

    async def _flush_past_contention(self, items: Sequence[In]) -> Sequence[Out | Exception]:
        for attempt in range(1, _CONTENDED_ATTEMPTS):
            try:
                return await self._flush(items)
            except Contended:
                await asyncio.sleep(0.01 * attempt)
        return await self._flush(items)

    def _settle(
        self, batch: Sequence[_Entry[In, Out]], results: Sequence[Out | Exception]
    ) -> list[_Entry[In, Out]]:
        kept: list[_Entry[In, Out]] = []
        failed: list[Exception] = []
        for entry, result in zip(batch, results, strict=True):
            waiter = entry.waiter
            if waiter is None:
                if isinstance(result, DependencyUnavailable | Contended):
                    kept.append(entry)
                elif isinstance(result, Exception):
                    failed.append(result)
            elif waiter.done():
                continue
            elif isinstance(result, Exception):
                waiter.set_exception(result)
            else:
                waiter.set_result(result)
        if failed:
            logger.error(
                "%s of %s items posted to batcher %s failed",
                len(failed),
                len(batch),
                self._name,
                exc_info=failed[0],
            )
        return kept

    def _keep(self, entries: list[_Entry[In, Out]]) -> None:
        if self._closing:
            logger.error(
                "batcher %s ends without having written %s posted items", self._name, len(entries)
            )
            return
        self._pending.extendleft(reversed(entries))

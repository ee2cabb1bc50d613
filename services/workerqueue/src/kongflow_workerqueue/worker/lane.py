"""A lane: the arq worker of one queue."""

import asyncio
import contextlib
import logging
import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.exceptions import RedisError

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_common.supervision import Backoff
from kongflow_workerqueue.application.ports import (
    ClaimedJob,
    Window,
    WindowUnavailable,
    WorkerLedger,
)
from kongflow_workerqueue.worker.backlog import Backlog
from kongflow_workerqueue.worker.call_runner import Call, CallRunner
from kongflow_workerqueue.worker.finisher import Finisher
from kongflow_workerqueue.worker.lease import WorkerLease

__all__ = ["FastPath", "Lane", "LaneSettings"]

logger = logging.getLogger(__name__)

_ARQ_FUNCTION = "queued_job"
_NET_SECONDS = 1.0
_PACING_SECONDS = 0.01
_PACING_THRESHOLD = 4
_POLLING = Backoff(initial=0.05, longest=0.2)
_LEDGER_AWAY = Backoff(initial=0.1, longest=1.0)
_HEALTH_SECONDS = 5.0


class FastPath(Window, Protocol):
    """The window, and whether it works at the moment."""

    @property
    def is_up(self) -> bool:
        """Whether the window works."""


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """A queue, how many of its jobs run at once, and how long it may finish them at the end.

    A window that holds `crowded` entries may have had no room for others. With `burst` the lane
    ends when it has found nothing to do and nothing runs.
    """

    queue: str
    slots: int
    crowded: int
    drain_seconds: float = 20.0
    burst: bool = False


async def _never_called(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
    """Stands for queued jobs in arq's list of functions; lanes make calls instead."""
    raise NotImplementedError


class Lane(Worker):
    """Takes the admitted jobs of one queue in batches and has their calls made.

    It is arq's worker, with its life cycle, health record and counters, and its keys in Redis;
    but Redis only says which jobs are next. Whether one may run is the ledger's to say, and so
    are results, retries, timeouts and schedules: arq's own are off. What the window has no room
    for, and all jobs while Redis is away, the lane takes from the ledger.
    """

    def __init__(
        self,
        settings: LaneSettings,
        redis: ArqRedis,
        window: FastPath,
        ledger: WorkerLedger,
        lease: WorkerLease,
        runner: CallRunner,
        finisher: Finisher,
        *,
        queue_key: str,
    ) -> None:
        super().__init__(
            functions=[func(_never_called, name=_ARQ_FUNCTION)],
            queue_name=queue_key,
            redis_pool=redis,
            burst=settings.burst,
            handle_signals=False,
            job_completion_wait=math.ceil(settings.drain_seconds),
            max_jobs=settings.slots,
            keep_result=0,
            poll_delay=_NET_SECONDS,
            max_tries=1,
            health_check_interval=_HEALTH_SECONDS,
            # One key per worker: with a shared one any worker that stops reports the end of all.
            health_check_key=f"{queue_key}:health-check:{lease.worker_id}",
            retry_jobs=False,
            allow_abort_jobs=False,
            job_serializer=redis.job_serializer,
            job_deserializer=redis.job_deserializer,
            log_results=False,
        )
        self.queue = settings.queue
        # Whether the queue is paused; the ledger gives nothing out then, this saves the asking.
        self.is_paused = False
        self._window = window
        self._ledger = ledger
        self._lease = lease
        self._runner = runner
        self._finisher = finisher
        self._backlog = Backlog(
            self._claim_waiting,
            self._mark_backlog,
            crowded=settings.crowded,
            wake=lambda: self.wake(self._signals_wanted),
        )
        self._calls: dict[asyncio.Task[None], Call] = {}
        self._calls_made = 0
        self._taking = asyncio.Lock()
        # What woke the lane since it last looked, and how much of it ends a rest.
        self._event = asyncio.Event()
        self._signalled = 0
        self._signals_wanted = 1
        self._room_wanted = 1
        self._ask_ledger = True
        self._last_poll = 0.0
        # What the last look found.
        self._looked = False
        self._taken = 0
        self._more = False
        self._empty_polls = 0
        self._ledger_failures = 0

    def wake(self, count: int = 1) -> None:
        """Says that `count` jobs were put into the window."""
        self._signalled += count
        if self._signalled >= self._signals_wanted:
            self._event.set()

    def wake_for_ledger(self) -> None:
        """Says that the window may not have what was admitted to it."""
        self._ask_ledger = True
        self.wake(self._signals_wanted)

    def wake_for_backlog(self) -> None:
        """Says that the ledger has jobs which are not in the window."""
        self._backlog.expect()

    @property
    def room(self) -> int:
        """How many jobs may be taken now."""
        if not self.allow_pick_jobs or self.is_paused or not self._lease.is_held:
            return 0
        if self._finisher.pending > 4 * self.max_jobs:
            return 0
        return self.max_jobs - self.job_counter

    async def main(self) -> None:
        """Takes jobs until cancelled; in burst mode until there are none."""
        while True:
            # Who is about to end must not leave to the window what it has no room for.
            self._ask_ledger = self._ask_ledger or self.burst
            await self._poll_iteration()
            if self.burst and self.tasks and self._found_nothing():
                await asyncio.wait(self.tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            elif self.burst and self._looked and self._found_nothing():
                return
            else:
                await self._rest()

    async def async_run(self) -> None:
        """Takes jobs until cancelled or drained; in burst mode until there are none."""
        try:
            await super().async_run()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            # Draining ends arq's own task, which this one only waits for.
            if self.allow_pick_jobs or (task is not None and task.cancelling()):
                raise

    async def drain(self) -> list[ClaimedJob]:
        """Takes no more jobs and finishes what runs, as far as the time allows.

        Returns the jobs whose calls had to be given up.
        """
        self.allow_pick_jobs = False
        # What is being claimed at this moment would be lost to a cancelled loop.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._job_completion_wait):
                await self._taking.acquire()
        calls = dict(self._calls)
        await self._wait_for_tasks_to_complete(signal.SIGTERM)
        await asyncio.gather(*calls, return_exceptions=True)
        return [job for call in calls.values() for job in call.unsettled.values()]

    async def close(self) -> None:
        """Takes the health record back; the connections belong to whoever opened them."""
        if self._window.is_up:
            with contextlib.suppress(RedisError, OSError):
                await self.pool.delete(self.health_check_key)

    async def record_health(self) -> None:
        """Writes arq's health record while Redis is there."""
        if self._window.is_up:
            with contextlib.suppress(RedisError, OSError):
                await super().record_health()

    async def _poll_iteration(self) -> None:
        self._signalled = 0
        self._taken = 0
        self._more = False
        room = self.room
        self._looked = room > 0
        if self._looked:
            try:
                async with self._taking:
                    await self._take(room)
                self._ledger_failures = 0
            except (DependencyUnavailable, Contended) as error:
                self._ledger_failures += 1
                if self._ledger_failures == 1:
                    logger.warning("lane %s waits: %s", self.queue, error)
        elif self._lease.is_held and not self.is_paused:
            # Others may have the room that this one has not.
            await self._backlog.tell_others()
        await self.heart_beat()

    async def _take(self, room: int) -> None:
        jobs: list[ClaimedJob] = []
        try:
            await self._claim_into(jobs, room)
        finally:
            # What is claimed runs, whatever failed after it.
            self._begin(jobs)

    async def _claim_into(self, jobs: list[ClaimedJob], room: int) -> None:
        popped = None
        try:
            popped = await self._window.pop(self.queue, room)
        except WindowUnavailable:
            self._ask_ledger = True
        else:
            self._backlog.note_pop(popped)
            if popped.entries:
                jobs += await self._ledger.claim(self._lease.worker_id, popped.entries)
            self._more = popped.remaining > 0
        if self._ask_ledger and room > len(jobs):
            self._ask_ledger = False
            asked = room - len(jobs)
            found = await self._ledger.claim_available(self._lease.worker_id, self.queue, asked)
            self._empty_polls = 0 if found else self._empty_polls + 1
            self._ask_ledger = len(found) == asked
            jobs += found
        if popped is not None:
            # What stands in the window goes first.
            await self._backlog.claim_into(jobs, 0 if self._more else room - len(jobs))
        self._more = self._more or self._ask_ledger or self._backlog.is_expected

    async def _claim_waiting(self, room: int) -> list[ClaimedJob]:
        return await self._ledger.claim_waiting(self._lease.worker_id, self.queue, room)

    async def _mark_backlog(self, exists: bool) -> None:
        await self._window.mark_backlog(self.queue, exists=exists)

    def _begin(self, jobs: Sequence[ClaimedJob]) -> None:
        self._taken = len(jobs)
        if not jobs:
            return
        self._finisher.expect(jobs)
        for call in self._runner.calls(jobs):
            self._calls_made += 1
            name = f"{self.queue}:{self._calls_made}"
            task = self.loop.create_task(self._runner.run(call), name=name)
            self.job_counter += len(call.jobs)
            self.tasks[name] = task
            self._calls[task] = call
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        call = self._calls.pop(task)
        del self.tasks[task.get_name()]
        self.job_counter -= len(call.jobs)
        self.jobs_complete += call.completed
        self.jobs_failed += call.failed
        self.jobs_retried += call.retried
        # Room is news only to a lane that knows of jobs, or could not look for want of it.
        news = self._more or not self._looked
        if news and self.max_jobs - self.job_counter >= self._room_wanted:
            self._event.set()

    def _found_nothing(self) -> bool:
        return not (self._taken or self._more or self._ledger_failures)

    async def _rest(self) -> None:
        """Waits until a look is worth its cost.

        After a look that found much, until as much again is there, or 10 ms: without that every
        stage shrinks the next one's batches. After one that found little, until the next wake-up.
        """
        pace = self._taken >= _PACING_THRESHOLD
        self._signals_wanted = self._taken if pace else 1
        self._room_wanted = max(1, self._taken // 2) if pace else 1
        if self._ledger_failures:
            await asyncio.sleep(_LEDGER_AWAY.delay(self._ledger_failures))
            return
        if self._more and self.room >= self._room_wanted:
            # One turn of the loop for the calls that were just begun.
            await asyncio.sleep(0)
            return
        if pace and await self._woken(_PACING_SECONDS):
            return
        self._signals_wanted = self._room_wanted = 1
        if (self._more or self._signalled) and self.room > 0:
            return
        if not await self._woken(self._net()):
            # The wake-up may have been lost, with what it spoke of.
            self._ask_ledger = self._ask_ledger or not self._window.is_up

    async def _woken(self, timeout: float) -> bool:
        self._event.clear()
        if self._signalled >= self._signals_wanted and self.room > 0:
            return True
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        return True

    def _net(self) -> float:
        if self._window.is_up or self.room == 0:
            return _NET_SECONDS
        return _POLLING.delay(max(self._empty_polls, 1))

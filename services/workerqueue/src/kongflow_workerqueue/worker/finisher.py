"""Writes outcomes to the ledger in batches, and does not let go of one before it is written."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_common.supervision import Backoff
from kongflow_workerqueue.application.ports import ClaimedJob, FinishedJob, WorkerLedger
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode
from kongflow_workerqueue.worker.lease import WorkerLease

__all__ = ["Finisher"]

logger = logging.getLogger(__name__)

_LARGEST_BATCH = 1_000
_LINGER_SECONDS = 0.01
_THRESHOLD = 4
_BACKOFF = Backoff(initial=0.05, longest=1.0)


class Finisher:
    """One writer for all lanes.

    Nobody waits for these writes, so under load they linger for each other; a crash meanwhile
    repeats idempotent work. While PostgreSQL is away outcomes are kept, and lanes take no more
    jobs once too many are `pending`.
    """

    def __init__(
        self,
        ledger: WorkerLedger,
        lease: WorkerLease,
        *,
        on_claimed: Callable[[Sequence[ClaimedJob]], None] = lambda _: None,
        on_written: Callable[[Sequence[FinishedJob]], None] = lambda _: None,
    ) -> None:
        self._on_claimed = on_claimed
        self._on_written = on_written
        self._ledger = ledger
        self._lease = lease
        self._pending: deque[FinishedJob] = deque()
        self._woken = asyncio.Event()
        self._wanted = 1
        self._claimed: set[tuple[int, int]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def pending(self) -> int:
        """How many outcomes are not written yet."""
        return len(self._pending)

    def knows(self, job_id: UUID, turn: int) -> bool:
        """Whether this worker claimed the job at this turn and has not finished it yet."""
        return (job_id.int, turn) in self._claimed

    def expect(self, jobs: Sequence[ClaimedJob]) -> None:
        """Notes that jobs were claimed."""
        # By the id's number: a UUID's hash and comparison are Python code.
        self._claimed.update([(job.id.int, job.turn) for job in jobs])
        self._on_claimed(jobs)

    def finish(self, job: FinishedJob) -> None:
        """Has an outcome written soon."""
        self._pending.append(job)
        self._idle.clear()
        if len(self._pending) >= self._wanted:
            self._woken.set()

    async def run(self) -> None:
        """Writes outcomes until cancelled."""
        while True:
            await self._gather()
            batch = [
                self._pending[index] for index in range(min(len(self._pending), _LARGEST_BATCH))
            ]
            if not batch:
                continue
            await self._write_surely(batch)
            # Only now: an outcome that is being written when this loop is cancelled is not lost.
            for _ in batch:
                self._pending.popleft()
            self._wanted = len(batch) if len(batch) >= _THRESHOLD else 1
            if not self._pending:
                self._idle.set()

    async def flushed(self) -> None:
        """Waits until everything is written."""
        await self._idle.wait()

    async def _gather(self) -> None:
        if len(self._pending) >= self._wanted:
            return
        if self._wanted > 1:
            self._woken.clear()
            try:
                async with asyncio.timeout(_LINGER_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                pass
        self._wanted = 1
        if not self._pending:
            self._woken.clear()
            await self._woken.wait()

    async def _write_surely(self, jobs: Sequence[FinishedJob]) -> None:
        failures = 0
        while True:
            try:
                await self._write(jobs)
            except (DependencyUnavailable, Contended) as error:
                failures += 1
                if failures == 1:
                    logger.warning("outcomes wait to be written: %s", error)
                await asyncio.sleep(_BACKOFF.delay(failures))
            else:
                break
        self._claimed.difference_update([(job.id.int, job.turn) for job in jobs])
        self._on_written(jobs)

    async def _write(self, jobs: Sequence[FinishedJob]) -> None:
        """Writes outcomes; one that the ledger cannot store stops only itself."""
        worker_id = self._lease.worker_id
        try:
            taken = await self._ledger.finish(worker_id, jobs)
        except (DependencyUnavailable, Contended):
            raise
        except Exception as error:
            if len(jobs) > 1:
                middle = len(jobs) // 2
                await self._write(jobs[:middle])
                await self._write(jobs[middle:])
                return
            logger.exception("an outcome cannot be written; it is written without its details")
            await self._write_bland(_bland(jobs[0], error))
        else:
            if taken < len(jobs):
                logger.info(
                    "outcomes came too late",
                    extra={"fields": {"outcomes": len(jobs), "taken": taken}},
                )

    async def _write_bland(self, job: FinishedJob) -> None:
        try:
            await self._ledger.finish(self._lease.worker_id, [job])
        except (DependencyUnavailable, Contended):
            raise
        except Exception:
            if job.follow_up is None:
                raise
            # Rather without what was to follow than never: it would hold up all the others.
            logger.exception(
                "what follows a discarded job cannot be stored",
                extra={"fields": {"queued_job_id": job.id, "kind": job.follow_up.kind}},
            )
            await self._ledger.finish(self._lease.worker_id, [replace(job, follow_up=None)])


def _bland(job: FinishedJob, error: Exception) -> FinishedJob:
    status = CallStatus(
        StatusCode.INTERNAL, f"The answer could not be stored ({type(error).__name__})."
    )
    error_kept = status if job.transition.error is not None else None
    return replace(job, transition=replace(job.transition, error=error_kept))

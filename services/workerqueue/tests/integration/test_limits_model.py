"""Limits under everything at once: several claimers, retries, lapses, lost windows, operators.

What a test sees of a job (from the answer of its claim to the question of its end) lies within
what the ledger knows of it, so nothing that is kept looks broken.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from kongflow_common.errors import KongflowError
from kongflow_common.ids import new_id
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.ports import ClaimedJob, FinishedJob, NewJob
from kongflow_workerqueue.domain.limits import (
    ConcurrencyRule,
    KeyRule,
    LimitRules,
    RateRule,
    limits_of,
)
from kongflow_workerqueue.domain.outcome import COMPLETED, Transition
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.integration.ledger_under_test import (
    BY,
    LedgerUnderTest,
    new_job,
)

JOBS = 120
QUEUES = ("events", "execution")
QUEUE_LIMIT = 4
MOST = {"c1": 1, "c2": 3}
INTERVAL = timedelta(milliseconds=20)
BURST = 2
OLD = datetime(2020, 1, 1, tzinfo=UTC)
DONE = "completed", "cancelled", "discarded"

OVER_LIMIT = """
SELECT serial_key, 's' FROM workerqueue.queued_jobs
WHERE serial_key IS NOT NULL AND (state = 'running' OR admitted_at IS NOT NULL)
GROUP BY serial_key HAVING count(*) > 1
UNION ALL
SELECT concurrency_key, 'c' FROM workerqueue.queued_jobs
WHERE concurrency_key IS NOT NULL AND (state = 'running' OR admitted_at IS NOT NULL)
GROUP BY concurrency_key HAVING count(*) > max(max_running)
UNION ALL
SELECT j.queue, 'q' FROM workerqueue.queued_jobs j JOIN workerqueue.queues q ON q.name = j.queue
WHERE j.state = 'running' OR j.admitted_at IS NOT NULL
GROUP BY j.queue HAVING count(*) > max(q.max_running)
"""


class Model:
    """The actors and what they have seen."""

    def __init__(self, ledger: LedgerUnderTest, seed: int) -> None:
        self.ledger = ledger
        self.chance = random.Random(seed)
        self.jobs: dict[UUID, NewJob] = {job.id: job for job in self._some_jobs()}
        self.window: list[tuple[UUID, int]] = []
        self.holders: dict[str, UUID] = {}
        self.running: Counter[str] = Counter()
        self.begun: dict[str, list[UUID]] = defaultdict(list)
        self.starts: dict[str, list[datetime]] = defaultdict(list)
        self.broken: list[str] = []

    def _some_jobs(self) -> Sequence[NewJob]:
        jobs = []
        for index in range(JOBS):
            serial = self.chance.choice([None, None, "s1", "s2", "s3"])
            concurrency = self.chance.choice([None, None, *MOST])
            rate = self.chance.choice([None, None, "r1"])
            rules = LimitRules(
                serial=KeyRule(serial) if serial else None,
                concurrency=(
                    ConcurrencyRule(KeyRule(concurrency), MOST[concurrency])
                    if concurrency
                    else None
                ),
                rate=RateRule(KeyRule(rate), INTERVAL, BURST) if rate else None,
            )
            jobs.append(
                new_job(
                    limits=limits_of(rules, None, {}),
                    queue=self.chance.choice(QUEUES),
                    run_at=OLD + timedelta(seconds=self.chance.randrange(JOBS)),
                    max_attempts=1_000,
                    job_key=f"{index}",
                )
            )
        return jobs

    async def admit(self) -> None:
        admission = await self.ledger.limits.admit_limited([], share=10, sweep_after=UUID(int=0))
        found = [entry for queue in admission.admitted.values() for entry in queue]
        self.window += [(entry.id, entry.turn) for entry in found]

    async def claim(self) -> None:
        worker = await self.ledger.another_worker()
        way = self.chance.random()
        if way < 0.5:
            ledger = self.ledger.worker
            claim = ledger.claim_available if way < 0.2 else ledger.claim_waiting
            claimed = await claim(worker, self.chance.choice(QUEUES), 3)
        else:
            taken = [self.window.pop(0) for _ in range(min(4, len(self.window)))]
            if self.chance.random() < 0.2:
                # Some stay in the window and are found a second time.
                self.window += taken
            elif self.chance.random() < 0.1:
                # The window loses some.
                taken = taken[1:]
            claimed = await self.ledger.worker.claim(worker, taken)
        for job in claimed:
            self._note_begin(job)
        await self._note_starts(claimed)
        for job in claimed:
            await self._end(worker, job)

    def _note_begin(self, job: ClaimedJob) -> None:
        limits = self.jobs[job.id].limits
        if limits is None:
            return
        if limits.serial_key is not None:
            holder = self.holders.setdefault(limits.serial_key, job.id)
            if holder != job.id:
                self.broken.append(f"{job.id} began while {holder} held {limits.serial_key}")
            if job.id not in self.begun[limits.serial_key]:
                self.begun[limits.serial_key].append(job.id)
        if limits.concurrency_key is not None:
            self.running[limits.concurrency_key] += 1
            if self.running[limits.concurrency_key] > (limits.max_running or 0):
                self.broken.append(f"too many run of {limits.concurrency_key}")

    async def _note_starts(self, claimed: Sequence[ClaimedJob]) -> None:
        for job in claimed:
            limits = self.jobs[job.id].limits
            if limits is not None and limits.rate_key is not None:
                at = (await self.ledger.row(job.id))["attempted_at"]
                self.starts[limits.rate_key].append(datetime.fromisoformat(at))

    async def _end(self, worker: UUID, job: ClaimedJob) -> None:
        await asyncio.sleep(self.chance.choice([0, 0.001]))
        limits = self.jobs[job.id].limits
        end = self.chance.random()
        if limits is not None:
            if limits.concurrency_key is not None:
                self.running[limits.concurrency_key] -= 1
            if limits.serial_key is not None and end < 0.6:
                del self.holders[limits.serial_key]
        if end < 0.6:
            await self._finish(worker, job, COMPLETED)
        elif end < 0.75:
            later = timedelta(milliseconds=self.chance.randrange(30))
            again = Transition(JobState.RETRYABLE, spends_attempt=True, delay=later)
            await self._finish(worker, job, again)
        elif end < 0.85:
            snooze = Transition(JobState.SCHEDULED, spends_attempt=False, delay=timedelta())
            await self._finish(worker, job, snooze)
        elif end < 0.95:
            await self.ledger.worker.hand_back(worker, [(job.id, job.turn)])
        else:
            # It is never heard of again.
            await self.ledger.end_lease(worker)

    async def _finish(self, worker: UUID, job: ClaimedJob, transition: Transition) -> None:
        await self.ledger.worker.finish(worker, [FinishedJob(job.id, job.turn, transition)])

    async def maintain(self) -> None:
        await self.ledger.maintenance.make_due(100)
        await self.ledger.maintenance.take_back_orphans(100)
        stale = await self.ledger.maintenance.readmit_stale(
            older_than=timedelta(milliseconds=100), limit=10
        )
        self.window += [(each.entry.id, each.entry.turn) for each in stale]

    async def step_in(self) -> None:
        queue = self.chance.choice(QUEUES)
        await self.ledger.operators.set_paused(queue, BY, paused=self.chance.random() < 0.2)
        job = self.chance.choice(list(self.jobs.values()))
        # One of a line would give it away before this test could note it.
        if self.chance.random() < 0.1 and (job.limits is None or not job.limits.serial_key):
            with suppress(KongflowError):
                await self.ledger.operators.cancel(job.id, None, BY, follow_up=None)

    async def watch(self) -> None:
        for key, kind in await self.ledger.execute(OVER_LIMIT):
            self.broken.append(f"over the limit: {key} ({kind})")

    async def all_done(self) -> bool:
        rows = await self.ledger.execute(
            "SELECT count(*) FROM workerqueue.queued_jobs WHERE state <> ALL (%s)", list(DONE)
        )
        return bool(rows == [(0,)])

    def check_rates(self) -> None:
        for times in self.starts.values():
            times.sort()
            for index, begin in enumerate(times):
                for count, end in enumerate(times[index:], start=1):
                    assert count <= BURST + (end - begin) / INTERVAL + 1e-6, times

    def check_lines(self) -> None:
        for key, begun in self.begun.items():
            line = [
                job
                for job in self.jobs.values()
                if job.limits is not None and job.limits.serial_key == key
            ]
            line.sort(key=lambda job: (job.run_at, job.id))
            assert begun == [job.id for job in line], key


async def _for_ever(act: Callable[[], Awaitable[None]], pause: float) -> None:
    while True:
        await act()
        await asyncio.sleep(pause)


@pytest.mark.parametrize("seed", range(6))
async def test_limits_are_kept_and_everything_ends(ledger: LedgerUnderTest, seed: int) -> None:
    model = Model(ledger, seed)
    await ledger.insert(new_job(id=new_id(), queue="execution", job_key="names the queue"))
    await ledger.operators.set_limit("execution", QUEUE_LIMIT, BY)
    await ledger.execute("DELETE FROM workerqueue.queued_jobs")
    outcomes = await ledger.enqueue.insert(list(model.jobs.values()), admit_to=["events"])
    model.window += [(each.admitted.id, 1) for each in outcomes if each.admitted is not None]
    async with asyncio.TaskGroup() as group:
        actors = [
            *(group.create_task(_for_ever(model.admit, 0.005)) for _ in range(2)),
            *(group.create_task(_for_ever(model.claim, 0.0)) for _ in range(4)),
            group.create_task(_for_ever(model.maintain, 0.01)),
            group.create_task(_for_ever(model.step_in, 0.02)),
            group.create_task(_for_ever(model.watch, 0.01)),
        ]
        try:
            await eventually(model.all_done, deadline=60)
        finally:
            for actor in actors:
                actor.cancel()
    assert model.broken == []
    model.check_rates()
    model.check_lines()
    assert model.starts, "no rate was used"

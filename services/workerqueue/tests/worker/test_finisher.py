"""The finisher: outcomes are kept until they are written, and one bad one stops only itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest

from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.supervision import BackgroundTasks
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.adapters.ledger_worker import PostgresWorkerLedger
from kongflow_workerqueue.application.ports import ClaimedJob, FinishedJob, NewJob
from kongflow_workerqueue.domain.outcome import COMPLETED, CallStatus, StatusCode, Transition
from kongflow_workerqueue.domain.states import JobState, Priority
from kongflow_workerqueue.worker.finisher import Finisher
from kongflow_workerqueue.worker.lease import WorkerLease


class Writes(PostgresWorkerLedger):
    """Where outcomes are written; `away` and `poison` make it fail as PostgreSQL would."""

    def __init__(self) -> None:
        self.batches: list[list[FinishedJob]] = []
        self.away = False
        self.poison: UUID | None = None
        self.refuses_follow_ups = False
        self.failures = 0

    async def finish(self, worker_id: UUID, outcomes: Sequence[FinishedJob]) -> int:
        if self.away:
            self.failures += 1
            raise DependencyUnavailable("postgresql")
        for each in outcomes:
            error = each.transition.error
            if each.id == self.poison and error is not None and error.message == "poison":
                self.failures += 1
                raise ValueError("cannot be stored")
            if self.refuses_follow_ups and each.follow_up is not None:
                raise ValueError("cannot be stored either")
        self.batches.append(list(outcomes))
        return len(outcomes)

    @property
    def written(self) -> list[FinishedJob]:
        return [job for batch in self.batches for job in batch]


@pytest.fixture
def writes() -> Writes:
    return Writes()


@pytest.fixture
async def finisher(writes: Writes) -> AsyncIterator[Finisher]:
    finisher = Finisher(writes, WorkerLease(writes, new_id, host="test", pid=1))
    async with BackgroundTasks() as tasks:
        _ = tasks.supervise("finisher", finisher.run)
        yield finisher


def outcomes(count: int) -> list[FinishedJob]:
    return [FinishedJob(new_id(), 1, COMPLETED) for _ in range(count)]


def claimed(job: FinishedJob) -> ClaimedJob:
    return ClaimedJob(job.id, job.turn, "kind", b"{}", "events", Priority.HIGH, 0, 3, 0, None, None)


async def test_outcomes_of_one_moment_are_written_together(
    finisher: Finisher, writes: Writes
) -> None:
    for job in outcomes(50):
        finisher.finish(job)
    await asyncio.wait_for(finisher.flushed(), 5)
    assert [len(batch) for batch in writes.batches] == [50]


async def test_a_lone_outcome_does_not_wait_for_others(finisher: Finisher, writes: Writes) -> None:
    for job in outcomes(3):
        finisher.finish(job)
        await asyncio.wait_for(finisher.flushed(), 5)
    assert [len(batch) for batch in writes.batches] == [1, 1, 1]


async def test_nothing_is_let_go_while_the_ledger_is_away(
    finisher: Finisher, writes: Writes
) -> None:
    writes.away = True
    jobs = outcomes(5)
    finisher.expect([claimed(job) for job in jobs])
    for job in jobs:
        finisher.finish(job)
    await eventually(lambda: writes.failures >= 2)
    assert finisher.pending == 5
    assert all(finisher.knows(job.id, 1) for job in jobs)
    writes.away = False
    await asyncio.wait_for(finisher.flushed(), 5)
    assert writes.written == jobs
    assert not any(finisher.knows(job.id, 1) for job in jobs)


async def test_an_outcome_that_cannot_be_stored_is_stored_without_its_details(
    finisher: Finisher, writes: Writes
) -> None:
    jobs = outcomes(9)
    status = CallStatus(StatusCode.INTERNAL, "poison")
    bad = FinishedJob(new_id(), 1, Transition(JobState.DISCARDED, True, error=status))
    writes.poison = bad.id
    for job in [*jobs[:4], bad, *jobs[4:]]:
        finisher.finish(job)
    await asyncio.wait_for(finisher.flushed(), 5)
    assert {job.id for job in writes.written} == {bad.id, *(job.id for job in jobs)}
    [stored] = [job for job in writes.written if job.id == bad.id]
    assert stored.transition.state is JobState.DISCARDED
    assert stored.transition.error is not None
    assert stored.transition.error.message == "The answer could not be stored (ValueError)."


@pytest.mark.parametrize("refused", [False, True])
async def test_what_follows_a_discarded_job_is_stored_unless_it_is_what_cannot_be(
    finisher: Finisher, writes: Writes, refused: bool
) -> None:
    follow_up = NewJob(
        id=new_id(),
        kind="kind.discarded",
        args=b"{}",
        queue="events",
        priority=Priority.HIGH,
        max_attempts=1,
    )
    status = CallStatus(StatusCode.INTERNAL, "poison")
    transition = Transition(JobState.DISCARDED, True, error=status)
    bad = FinishedJob(new_id(), 1, transition, follow_up)
    writes.poison = bad.id
    writes.refuses_follow_ups = refused
    finisher.finish(bad)
    await asyncio.wait_for(finisher.flushed(), 5)
    [stored] = writes.written
    assert stored.transition.state is JobState.DISCARDED
    assert stored.follow_up == (None if refused else follow_up)

"""Which jobs go first: ageing priorities, and environments by turns."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.ports import NewJob
from kongflow_workerqueue.domain.ageing import AGEING
from kongflow_workerqueue.domain.states import Priority
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

OLD = datetime(2020, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


async def waiting(ledger: LedgerUnderTest, limit: int) -> list[UUID]:
    jobs = await ledger.worker.claim_waiting(ledger.worker_id, "events", limit)
    return [job.id for job in jobs]


async def claimed(ledger: LedgerUnderTest, limit: int) -> list[UUID]:
    jobs = await ledger.worker.claim_available(ledger.worker_id, "events", limit)
    return [job.id for job in jobs]


async def test_first_by_run_time_with_a_step_of_priority_worth_half_a_minute(
    ledger: LedgerUnderTest,
) -> None:
    late = new_job(run_at=OLD + 2 * AGEING + SECOND, priority=Priority.HIGH)
    low = new_job(run_at=OLD, priority=Priority.LOW)
    normal = new_job(run_at=OLD + SECOND, priority=Priority.NORMAL)
    high = new_job(run_at=OLD + 2 * SECOND, priority=Priority.HIGH)
    twin = new_job(run_at=OLD + 2 * SECOND, priority=Priority.HIGH)
    elsewhere = new_job(queue="execution")
    ahead = new_job(run_at=datetime(2090, 1, 1, tzinfo=UTC))
    await ledger.insert(elsewhere, ahead, late, low, normal, high, twin)
    jobs = await ledger.worker.claim_waiting(ledger.worker_id, "events", 4)
    assert [job.id for job in jobs] == [high.id, twin.id, normal.id, low.id]
    assert jobs[3].priority is Priority.LOW
    assert await waiting(ledger, 4) == [late.id]
    assert await waiting(ledger, 4) == []


@pytest.mark.parametrize("take", [waiting, claimed])
async def test_a_flood_of_high_ones_holds_up_the_lowest_for_its_bound_only(
    ledger: LedgerUnderTest, take: object
) -> None:
    # Ten HIGH jobs a second, for ever, and ten places a second for them.
    lowest = new_job(run_at=OLD, priority=Priority.VERY_LOW)
    await ledger.insert(lowest)
    for second in range(200):
        flood = [new_job(run_at=OLD + second * SECOND, priority=Priority.HIGH) for _ in range(10)]
        await ledger.insert(*flood)
        if lowest.id in await take(ledger, 10):  # type: ignore[operator]
            break
    # Not at once either: it is the lowest.
    assert second * SECOND in (3 * AGEING, 3 * AGEING + SECOND)


def jobs_of(environment: UUID | None, count: int, run_at: datetime = OLD) -> Sequence[NewJob]:
    return [new_job(environment_id=environment, run_at=run_at) for _ in range(count)]


@pytest.mark.parametrize("take", [waiting, claimed])
async def test_environments_have_turns(ledger: LedgerUnderTest, take: object) -> None:
    flooding, other, third = new_id(), new_id(), new_id()
    flood = jobs_of(flooding, 300)
    single = jobs_of(other, 1, OLD + timedelta(days=1))
    few = jobs_of(third, 5, OLD + timedelta(days=1))
    above = jobs_of(None, 2, OLD + timedelta(days=2))
    await ledger.insert(*flood, *single, *few, *above)
    owners = {job.id: job.environment_id for job in (*flood, *single, *few, *above)}
    first = await take(ledger, 20)  # type: ignore[operator]
    assert Counter(owners[id_] for id_ in first) == {flooding: 11, other: 1, third: 5, None: 2}
    # It is asked for twice its share; what is left is its alone.
    assert len(await take(ledger, 20)) == 20  # type: ignore[operator]


async def test_the_order_of_a_batch_goes_round(ledger: LedgerUnderTest) -> None:
    flooding, other = new_id(), new_id()
    flood = jobs_of(flooding, 10)
    pair = jobs_of(other, 2, OLD + timedelta(days=1))
    await ledger.insert(*flood, *pair)
    order = await waiting(ledger, 12)
    assert order[:4] == [flood[0].id, pair[0].id, flood[1].id, pair[1].id]
    assert order[4:] == [job.id for job in flood[2:]]


async def test_no_environment_is_forgotten_when_there_are_more_than_places(
    ledger: LedgerUnderTest,
) -> None:
    jobs = [job for _ in range(50) for job in jobs_of(new_id(), 2)]
    await ledger.insert(*jobs)
    seen: list[UUID] = []
    while found := await waiting(ledger, 7):
        seen += found
    assert sorted(seen) == sorted(job.id for job in jobs)

"""What counts against a suspected job, and what does not."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.ports import FinishedJob
from kongflow_workerqueue.domain.outcome import (
    CallStatus,
    Failed,
    HeldAlone,
    StatusCode,
    TargetUnavailable,
    settle,
)
from kongflow_workerqueue.domain.retry import ExponentialRetry
from kongflow_workerqueue.domain.suspicion import SET_ASIDE, waiting_alone
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

EVENTS = waiting_alone("events")
AT_ONCE = timedelta()
LOST = HeldAlone(EVENTS, lost=True)
INTERNAL = CallStatus(StatusCode.INTERNAL, "no")


async def _finish(
    ledger: LedgerUnderTest,
    answer: HeldAlone | Failed | TargetUnavailable,
    *entries: tuple[UUID, int],
) -> None:
    transition = settle(
        answer, attempt=0, max_attempts=3, retry=ExponentialRetry(), random=lambda: 0.5
    )
    outcomes = [FinishedJob(id_, turn, transition) for id_, turn in entries]
    assert await ledger.worker.finish(ledger.worker_id, outcomes) == len(entries)


async def _lose(ledger: LedgerUnderTest, count: int) -> list[UUID]:
    """Jobs that were in flight together when the connection was lost."""
    jobs = [new_job() for _ in range(count)]
    await ledger.insert(*jobs)
    await ledger.worker.claim(ledger.worker_id, [(job.id, 1) for job in jobs])
    await _finish(ledger, LOST, *[(job.id, 1) for job in jobs])
    return [job.id for job in jobs]


async def _run_alone(ledger: LedgerUnderTest, worker_id: UUID | None = None) -> tuple[UUID, int]:
    [job] = await ledger.worker.claim_suspects(
        worker_id or ledger.worker_id, EVENTS, quiet=AT_ONCE, alone=AT_ONCE
    )
    return job.id, job.turn


async def _run_together(ledger: LedgerUnderTest, limit: int) -> list[tuple[UUID, int]]:
    jobs = await ledger.worker.claim_suspects(
        ledger.worker_id, EVENTS, quiet=AT_ONCE, alone=AT_ONCE, limit=limit
    )
    return [(job.id, job.turn) for job in jobs]


async def _suspicion(ledger: LedgerUnderTest, job_id: UUID) -> int:
    return int((await ledger.row(job_id))["suspicion"])


async def test_whoever_is_lost_is_suspected_once_and_spends_nothing(
    ledger: LedgerUnderTest,
) -> None:
    for job_id in await _lose(ledger, 3):
        row = await ledger.row(job_id)
        assert (row["state"], row["waiting_for"]) == ("scheduled", EVENTS)
        assert (row["suspicion"], row["attempt"]) == (1, 0)
    assert await ledger.worker.suspected() == {EVENTS: 1}


async def test_a_suspect_does_not_become_due_as_others_do(ledger: LedgerUnderTest) -> None:
    await _lose(ledger, 1)
    assert await ledger.maintenance.make_due(10) == {}
    assert await ledger.maintenance.release_waiting("target:events") == {}


async def test_losses_while_it_runs_alone_count_up_to_three(ledger: LedgerUnderTest) -> None:
    [job_id] = await _lose(ledger, 1)
    for suspicion in (3, 4, 5, 5):
        await _finish(ledger, LOST, await _run_alone(ledger))
        assert await _suspicion(ledger, job_id) == suspicion
    assert SET_ASIDE == 5


async def test_the_least_suspected_goes_first(ledger: LedgerUnderTest) -> None:
    first, second = await _lose(ledger, 2)
    entry = await _run_alone(ledger)
    await _finish(ledger, LOST, entry)
    other = second if entry[0] == first else first
    assert (await _run_alone(ledger))[0] == other


async def test_suspects_that_were_in_flight_together_are_not_counted(
    ledger: LedgerUnderTest,
) -> None:
    await _lose(ledger, 2)
    together = [await _run_alone(ledger), await _run_alone(ledger)]
    # One after the other, as two workers write it down.
    for entry in together:
        await _finish(ledger, LOST, entry)
    assert [await _suspicion(ledger, id_) for id_, _ in together] == [2, 2]


async def test_suspects_that_were_called_together_are_not_counted_and_run_alone_then(
    ledger: LedgerUnderTest,
) -> None:
    jobs = await _lose(ledger, 5)
    together = await _run_together(ledger, 3)
    assert len(together) == 3
    await _finish(ledger, LOST, *together)
    assert [await _suspicion(ledger, id_) for id_, _ in together] == [2, 2, 2]
    assert await ledger.worker.suspected() == {EVENTS: 2}
    others = await _run_together(ledger, 10)
    assert {id_ for id_, _ in others} == set(jobs) - {id_ for id_, _ in together}
    for _ in together:
        assert len(await _run_together(ledger, 10)) == 1


async def test_jobs_that_nobody_suspected_do_not_cover_for_the_suspect(
    ledger: LedgerUnderTest,
) -> None:
    [suspect] = await _lose(ledger, 1)
    entry = await _run_alone(ledger)
    await _lose(ledger, 3)
    await _finish(ledger, LOST, entry)
    assert await _suspicion(ledger, suspect) == 3


async def test_one_at_a_time_unless_it_takes_long(ledger: LedgerUnderTest) -> None:
    await _lose(ledger, 2)
    await _run_alone(ledger)
    again = ledger.worker.claim_suspects
    minute = timedelta(minutes=1)
    assert await again(ledger.worker_id, EVENTS, quiet=AT_ONCE, alone=minute) == []
    assert len(await again(ledger.worker_id, EVENTS, quiet=AT_ONCE, alone=AT_ONCE)) == 1


async def test_not_until_the_target_has_been_quiet(ledger: LedgerUnderTest) -> None:
    await _lose(ledger, 1)
    claim = ledger.worker.claim_suspects
    minute = timedelta(minutes=1)
    assert await claim(ledger.worker_id, EVENTS, quiet=minute, alone=AT_ONCE) == []
    assert len(await claim(ledger.worker_id, EVENTS, quiet=AT_ONCE, alone=AT_ONCE)) == 1


async def test_a_worker_without_a_lease_gets_none(ledger: LedgerUnderTest) -> None:
    await _lose(ledger, 1)
    await ledger.end_lease(ledger.worker_id)
    claim = ledger.worker.claim_suspects
    assert await claim(ledger.worker_id, EVENTS, quiet=AT_ONCE, alone=AT_ONCE) == []


async def test_a_paused_queue_gives_none_out(ledger: LedgerUnderTest) -> None:
    await _lose(ledger, 1)
    await ledger.execute("UPDATE workerqueue.queues SET paused_at = now() WHERE name = 'events'")
    assert await ledger.worker.suspected() == {}
    claim = ledger.worker.claim_suspects
    assert await claim(ledger.worker_id, EVENTS, quiet=AT_ONCE, alone=AT_ONCE) == []


async def test_whatever_it_answers_clears_it(ledger: LedgerUnderTest) -> None:
    [job_id] = await _lose(ledger, 1)
    await _finish(ledger, Failed(INTERNAL), await _run_alone(ledger))
    row = await ledger.row(job_id)
    assert (row["state"], row["suspicion"], row["waiting_for"]) == ("retryable", 0, None)


async def test_a_target_that_is_away_neither_counts_nor_clears(ledger: LedgerUnderTest) -> None:
    [job_id] = await _lose(ledger, 1)
    await _finish(ledger, HeldAlone(EVENTS), await _run_alone(ledger))
    assert await _suspicion(ledger, job_id) == 1


async def _has_run_for_long(ledger: LedgerUnderTest) -> bool:
    [(has_run,)] = await ledger.execute(
        "SELECT pg_postmaster_start_time() < now() - interval '8 seconds'"
    )
    return bool(has_run)


async def _lapse(ledger: LedgerUnderTest, worker_id: UUID) -> None:
    await ledger.execute(
        "UPDATE workerqueue.worker_leases SET expires_at = now() WHERE worker_id = %s", worker_id
    )
    assert await ledger.maintenance.take_back_orphans(10) != {}


async def _mortal(ledger: LedgerUnderTest) -> UUID:
    """A worker in a process of its own."""
    await ledger.execute("UPDATE workerqueue.worker_leases SET pid = pid + 1000")
    return await ledger.another_worker()


class TestLapses:
    @pytest.fixture(autouse=True)
    async def _postgresql_has_run_for_long(self, ledger: LedgerUnderTest) -> None:
        """A lease that ended because it was restarted says nothing."""
        await eventually(partial(_has_run_for_long, ledger), deadline=20)
        await ledger.lengthen_leases()

    async def test_the_second_dead_worker_makes_suspected(self, ledger: LedgerUnderTest) -> None:
        job = new_job()
        await ledger.insert(job)
        for turn, suspicion in ((1, 0), (2, 1)):
            worker_id = await _mortal(ledger)
            await ledger.worker.claim(worker_id, [(job.id, turn)])
            await _lapse(ledger, worker_id)
            row = await ledger.row(job.id)
            assert (row["state"], row["suspicion"]) == ("available", suspicion)
        assert (await ledger.claim_one(job.id, 3)).suspicion == 1

    async def test_workers_that_die_under_a_lone_suspect_count(
        self, ledger: LedgerUnderTest
    ) -> None:
        [job_id] = await _lose(ledger, 1)
        for suspicion in (3, 4, 5):
            worker_id = await _mortal(ledger)
            _, turn = await _run_alone(ledger, worker_id)
            await _lapse(ledger, worker_id)
            assert await _suspicion(ledger, job_id) == suspicion
            await ledger.claim_one(job_id, turn + 1)
            await _finish(ledger, HeldAlone(EVENTS), (job_id, turn + 1))

    async def test_a_lease_that_ended_in_a_living_process_does_not_count(
        self, ledger: LedgerUnderTest
    ) -> None:
        [job_id] = await _lose(ledger, 1)
        worker_id = await _mortal(ledger)
        await _run_alone(ledger, worker_id)
        # The same process, under its next lease.
        await ledger.another_worker()
        await _lapse(ledger, worker_id)
        assert await _suspicion(ledger, job_id) == 1

    async def test_a_restart_of_postgresql_does_not_count(self, ledger: LedgerUnderTest) -> None:
        [job_id] = await _lose(ledger, 1)
        worker_id = await _mortal(ledger)
        await _run_alone(ledger, worker_id)
        await ledger.execute(
            "UPDATE workerqueue.worker_leases SET expires_at = pg_postmaster_start_time()"
            " WHERE worker_id = %s",
            worker_id,
        )
        assert await ledger.maintenance.take_back_orphans(10) != {}
        assert await _suspicion(ledger, job_id) == 1

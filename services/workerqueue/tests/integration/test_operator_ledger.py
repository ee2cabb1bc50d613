"""Operators take jobs back, delete what has ended and pause queues; each act leaves its entry."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.adapters.queue_reader import PostgresQueueReader
from kongflow_workerqueue.application.ports import FinishedJob, InsertResult
from kongflow_workerqueue.application.queue_queries import LAST_MINUTE, Throughput
from kongflow_workerqueue.domain.errors import (
    QueuedJobEnded,
    QueuedJobNotEnded,
    QueuedJobNotFound,
    QueueNotFound,
)
from kongflow_workerqueue.domain.outcome import COMPLETED, CallStatus, StatusCode, Transition
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.integration.ledger_under_test import BY, LedgerUnderTest, new_job

FUTURE = datetime(2090, 1, 1, tzinfo=UTC)
DISCARDED = Transition(
    JobState.DISCARDED, spends_attempt=True, error=CallStatus(StatusCode.INTERNAL, "no")
)


async def trail(ledger: LedgerUnderTest) -> list[tuple[object, ...]]:
    rows = await ledger.execute(
        "SELECT action, queued_job_id, queue, caller, caller_name, caller_key_id, reason"
        " FROM workerqueue.audit_entries ORDER BY id"
    )
    return [tuple(row) for row in rows]


def entry(action: str, job_id: UUID | None, queue: str = "events") -> tuple[object, ...]:
    return (action, job_id, queue, BY.caller, BY.caller_name, BY.caller_key_id, BY.reason)


@pytest.mark.parametrize("run_at", [None, FUTURE])
async def test_a_waiting_job_is_taken_back(ledger: LedgerUnderTest, run_at: datetime) -> None:
    job = new_job(run_at=run_at)
    await ledger.enqueue.insert([job], admit_to=["events"])
    await ledger.operators.cancel(job.id, None, BY, follow_up=None)
    row = await ledger.row(job.id)
    assert (row["state"], row["attempt"], row["admitted_at"]) == ("cancelled", 0, None)
    assert await ledger.worker.claim(ledger.worker_id, [(job.id, 1)]) == []
    assert await trail(ledger) == [entry("cancel", job.id)]


async def test_what_a_cancelled_call_still_answers_is_dropped(ledger: LedgerUnderTest) -> None:
    job = new_job()
    await ledger.insert(job)
    await ledger.claim_one(job.id)
    follow_up = new_job(kind="failRegisterJob")
    await ledger.operators.cancel(job.id, None, BY, follow_up=follow_up)
    late = FinishedJob(job.id, 1, DISCARDED, follow_up=new_job())
    assert await ledger.worker.finish(ledger.worker_id, [late]) == 0
    assert await ledger.worker.finish(ledger.worker_id, [FinishedJob(job.id, 1, COMPLETED)]) == 0
    assert (await ledger.row(job.id))["state"] == "cancelled"
    assert await ledger.ids() == sorted([job.id, follow_up.id])
    # It runs anew at a turn of its own, which the late answer of the old one does not touch.
    await ledger.operators.retry(job.id, None, BY, admit_to=[])
    await ledger.claim_one(job.id, 2)
    assert await ledger.worker.finish(ledger.worker_id, [FinishedJob(job.id, 1, COMPLETED)]) == 0
    assert (await ledger.row(job.id))["state"] == "running"


async def test_an_ended_job_is_not_taken_back_and_nothing_is_noted(
    ledger: LedgerUnderTest,
) -> None:
    job = new_job()
    await ledger.insert(job)
    await ledger.claim_one(job.id)
    await ledger.worker.finish(ledger.worker_id, [FinishedJob(job.id, 1, COMPLETED)])
    with pytest.raises(QueuedJobEnded):
        await ledger.operators.cancel(job.id, None, BY, follow_up=new_job())
    assert await trail(ledger) == []
    assert await ledger.ids() == [job.id]


async def test_a_deleted_job_is_gone_and_its_command_is_still_known(
    ledger: LedgerUnderTest,
) -> None:
    job = new_job()
    await ledger.insert(job)
    with pytest.raises(QueuedJobNotEnded):
        await ledger.operators.delete(job.id, None, BY)
    await ledger.operators.cancel(job.id, None, BY, follow_up=None)
    await ledger.operators.delete(job.id, None, BY)
    [repeat] = await ledger.insert(job)
    assert (repeat.result, repeat.job_id) == (InsertResult.REMOVED, job.id)
    assert await ledger.ids() == []
    assert await trail(ledger) == [entry("cancel", job.id), entry("delete", job.id)]


async def test_jobs_of_other_environments_are_not_there(ledger: LedgerUnderTest) -> None:
    job = new_job(environment_id=new_id(), run_at=FUTURE)
    await ledger.insert(job)
    with pytest.raises(QueuedJobNotFound):
        await ledger.operators.cancel(job.id, new_id(), BY, follow_up=None)
    with pytest.raises(QueuedJobNotFound):
        await ledger.operators.delete(job.id, new_id(), BY)
    assert (await ledger.row(job.id))["state"] == "scheduled"


async def test_nothing_of_a_paused_queue_is_begun(ledger: LedgerUnderTest) -> None:
    running, admitted, waiting, other = new_job(), new_job(), new_job(), new_job(queue="default")
    await ledger.insert(running)
    await ledger.claim_one(running.id)
    await ledger.enqueue.insert([admitted], admit_to=["events"])
    await ledger.insert(waiting, other)
    await ledger.operators.set_paused("events", BY, paused=True)
    entries = [(job.id, 1) for job in (admitted, waiting, other)]
    claimed = await ledger.worker.claim(ledger.worker_id, entries)
    assert [job.id for job in claimed] == [other.id]
    assert await ledger.worker.claim_available(ledger.worker_id, "events", 10) == []
    assert await ledger.worker.claim_waiting(ledger.worker_id, "events", 10) == []
    stale = await ledger.maintenance.readmit_stale(older_than=timedelta(days=-1), limit=10)
    assert stale == []
    # What runs is finished, and new jobs are taken.
    assert await ledger.worker.finish(ledger.worker_id, [FinishedJob(running.id, 1, COMPLETED)])
    [inserted] = await ledger.insert(new_job())
    assert inserted.result is InsertResult.INSERTED
    await ledger.operators.set_paused("events", BY, paused=False)
    assert len(await ledger.worker.claim_available(ledger.worker_id, "events", 10)) == 3


async def test_pausing_twice_is_one_pause(ledger: LedgerUnderTest) -> None:
    for paused in (True, True, False, False):
        await ledger.operators.set_paused("events", BY, paused=paused)
    assert await trail(ledger) == [entry("pause", None), entry("resume", None)]


async def test_a_queue_is_known_by_its_jobs(ledger: LedgerUnderTest) -> None:
    with pytest.raises(QueueNotFound):
        await ledger.operators.set_paused("mail", BY, paused=True)
    await ledger.insert(new_job(queue="mail", run_at=FUTURE))
    await ledger.operators.set_paused("mail", BY, paused=True)
    [mail] = [q for q in await PostgresQueueReader(ledger.database).all() if q.name == "mail"]
    assert mail.paused_at is not None
    assert (mail.depth.available, mail.depth.running, mail.depth.waiting) == (0, 0, 1)
    await ledger.execute("DELETE FROM workerqueue.queues WHERE name = 'mail'")


async def test_what_a_queue_has_done(ledger: LedgerUnderTest) -> None:
    environment = new_id()
    jobs = [new_job(environment_id=environment) for _ in range(4)]
    above = new_job(run_at=FUTURE)
    await ledger.insert(*jobs, above)
    for job, transition in zip(jobs, (COMPLETED, COMPLETED, DISCARDED), strict=False):
        await ledger.claim_one(job.id)
        await ledger.worker.finish(ledger.worker_id, [FinishedJob(job.id, 1, transition)])
    await ledger.claim_one(jobs[3].id)
    await ledger.shift(jobs[0].id, "finalized_at", -timedelta(minutes=2))
    reader = PostgresQueueReader(ledger.database)
    assert await reader.throughput("events", LAST_MINUTE) == Throughput(completed=1, discarded=1)
    assert (await reader.throughput("events", timedelta(minutes=5))).completed == 2
    assert await reader.throughput("default", LAST_MINUTE) == Throughput()
    assert await reader.discarded("events") == 1
    shares = {each.environment_id: each for each in await reader.shares("events")}
    assert (shares[environment].unfinished, shares[environment].running) == (1, 1)
    assert (shares[None].unfinished, shares[None].running) == (1, 0)

"""An operator has jobs run now."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.ports import FinishedJob
from kongflow_workerqueue.domain.errors import (
    QueuedJobNotFound,
    QueuedJobReplaced,
    QueuedJobRunning,
)
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode, Transition
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.integration.ledger_under_test import BY, LedgerUnderTest, new_job

FUTURE = datetime(2090, 1, 1, tzinfo=UTC)
ERROR = CallStatus(StatusCode.INTERNAL, "no")


async def discard(ledger: LedgerUnderTest, **options: object) -> UUID:
    job = new_job(**options)
    await ledger.insert(job)
    await ledger.claim_one(job.id)
    gone = Transition(JobState.DISCARDED, spends_attempt=True, error=ERROR)
    await ledger.worker.finish(ledger.worker_id, [FinishedJob(job.id, 1, gone)])
    return job.id


async def test_a_dead_letter_has_its_attempts_anew(ledger: LedgerUnderTest) -> None:
    job_id = await discard(ledger)
    outcome = await ledger.operators.retry(job_id, None, BY, admit_to=["events"])
    assert outcome.admitted is not None
    assert outcome.admitted.turn == 2
    row = await ledger.row(job_id)
    assert (row["state"], row["attempt"], row["finalized_at"]) == ("available", 0, None)
    assert len(row["errors"]) == 1


async def test_a_waiting_job_keeps_the_attempts_it_has_spent(ledger: LedgerUnderTest) -> None:
    job = new_job()
    await ledger.insert(job)
    await ledger.claim_one(job.id)
    retry = Transition(
        JobState.RETRYABLE, spends_attempt=True, delay=timedelta(hours=1), error=ERROR
    )
    await ledger.worker.finish(ledger.worker_id, [FinishedJob(job.id, 1, retry)])
    outcome = await ledger.operators.retry(job.id, None, BY, admit_to=[])
    assert outcome.available
    assert outcome.admitted is None
    row = await ledger.row(job.id)
    assert (row["state"], row["attempt"], row["turn"]) == ("available", 1, 2)
    claimed = await ledger.claim_one(job.id, 2)
    assert claimed.attempt == 1


async def test_an_available_job_stays_as_it_is_and_a_running_one_is_refused(
    ledger: LedgerUnderTest,
) -> None:
    job = new_job()
    await ledger.insert(job)
    await ledger.operators.retry(job.id, None, BY, admit_to=["events"])
    assert (await ledger.row(job.id))["turn"] == 1
    await ledger.claim_one(job.id)
    with pytest.raises(QueuedJobRunning):
        await ledger.operators.retry(job.id, None, BY, admit_to=[])


async def test_jobs_of_other_environments_are_not_there(ledger: LedgerUnderTest) -> None:
    environment = new_id()
    job = new_job(run_at=FUTURE, environment_id=environment)
    await ledger.insert(job)
    for asked in (job.id, new_id()):
        with pytest.raises(QueuedJobNotFound):
            await ledger.operators.retry(asked, new_id(), BY, admit_to=[])
    assert (await ledger.row(job.id))["state"] == "scheduled"
    await ledger.operators.retry(job.id, environment, BY, admit_to=[])
    assert (await ledger.row(job.id))["state"] == "available"


@pytest.mark.parametrize("place", ["job_key", "unique_key"])
async def test_a_job_whose_place_is_taken_stays_ended(ledger: LedgerUnderTest, place: str) -> None:
    held = {place: "k" if place == "job_key" else uuid4()}
    job_id = await discard(ledger, **held)
    await ledger.insert(new_job(**held))
    with pytest.raises(QueuedJobReplaced):
        await ledger.operators.retry(job_id, None, BY, admit_to=[])
    assert (await ledger.row(job_id))["state"] == "discarded"

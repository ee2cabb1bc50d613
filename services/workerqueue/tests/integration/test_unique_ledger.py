"""Jobs that count as the same for a while, and in states of their own choice."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.enqueue_command import Edit
from kongflow_workerqueue.application.ports import (
    FinishedJob,
    InsertOutcome,
    InsertResult,
    NewJob,
    Removal,
)
from kongflow_workerqueue.domain.errors import QueuedJobReplaced
from kongflow_workerqueue.domain.outcome import (
    CANCELLED,
    COMPLETED,
    CallStatus,
    StatusCode,
    Transition,
)
from kongflow_workerqueue.domain.states import FINAL_STATES, UNFINISHED_STATES, JobKeyMode, JobState
from services.workerqueue.tests.integration.ledger_under_test import BY, LedgerUnderTest, new_job

WINDOW = timedelta(minutes=15)
PLACE = UUID("0190d5a2-0000-7000-8000-00000000000a")
DISCARDED = Transition(
    JobState.DISCARDED, spends_attempt=True, error=CallStatus(StatusCode.INTERNAL, "no")
)
RETRYABLE = Transition(JobState.RETRYABLE, spends_attempt=True, delay=timedelta(hours=1))
ENDINGS = {
    JobState.COMPLETED: COMPLETED,
    JobState.CANCELLED: CANCELLED,
    JobState.DISCARDED: DISCARDED,
}


def same(**options: object) -> NewJob:
    """A job that has the place, or would."""
    return new_job(unique_key=PLACE, **options)


async def enqueue(ledger: LedgerUnderTest, job: NewJob) -> InsertOutcome:
    [outcome] = await ledger.insert(job)
    return outcome


async def end(ledger: LedgerUnderTest, job: NewJob, transition: Transition, turn: int = 1) -> None:
    await ledger.claim_one(job.id, turn)
    await ledger.worker.finish(ledger.worker_id, [FinishedJob(job.id, turn, transition)])


async def age(ledger: LedgerUnderTest, job: NewJob, by: timedelta) -> None:
    """Let time pass for a job."""
    for column in ("created_at", "unique_until", "finalized_at"):
        await ledger.shift(job.id, column, -by)


async def test_a_window_lasts_from_the_first_ones_creation(ledger: LedgerUnderTest) -> None:
    first = same(unique_for=WINDOW)
    await ledger.insert(first)
    await age(ledger, first, WINDOW - timedelta(seconds=30))
    duplicate = await enqueue(ledger, same(unique_for=WINDOW))
    assert (duplicate.result, duplicate.job_id) == (InsertResult.SKIPPED_AS_DUPLICATE, first.id)
    # The duplicate has not begun the window anew.
    await age(ledger, first, timedelta(seconds=31))
    second = same(unique_for=WINDOW)
    assert (await enqueue(ledger, second)).result is InsertResult.INSERTED
    assert (await enqueue(ledger, same())).job_id == second.id
    # The first one goes on, without its place.
    await ledger.claim_one(first.id)
    assert (await ledger.row(first.id))["state"] == "running"


async def test_without_a_window_the_first_one_counts_as_long_as_it_takes(
    ledger: LedgerUnderTest,
) -> None:
    first = same()
    await ledger.insert(first)
    await age(ledger, first, timedelta(days=400))
    # What the first one says counts, not what the second would like.
    assert (await enqueue(ledger, same(unique_for=WINDOW))).job_id == first.id


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
async def test_a_window_may_go_on_when_the_first_one_has_ended(
    ledger: LedgerUnderTest, state: JobState
) -> None:
    first = same(unique_for=WINDOW, unique_states=UNFINISHED_STATES | {state})
    await ledger.insert(first)
    await end(ledger, first, ENDINGS[state])
    duplicate = await enqueue(ledger, same())
    assert (duplicate.result, duplicate.job_id) == (InsertResult.SKIPPED_AS_DUPLICATE, first.id)
    await age(ledger, first, WINDOW)
    assert (await enqueue(ledger, same())).result is InsertResult.INSERTED
    row = await ledger.row(first.id)
    assert (row["state"], row["unique_key"]) == (state, None)


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
async def test_an_end_that_is_not_among_the_states_frees_the_place(
    ledger: LedgerUnderTest, state: JobState
) -> None:
    first = same(unique_for=WINDOW, unique_states=frozenset(JobState) - {state})
    await ledger.insert(first)
    await end(ledger, first, ENDINGS[state])
    assert (await enqueue(ledger, same())).result is InsertResult.INSERTED


@pytest.mark.parametrize("polled", [False, True])
async def test_who_counts_only_while_it_waits_gives_its_place_up_for_good(
    ledger: LedgerUnderTest, polled: bool
) -> None:
    first = same(unique_states=UNFINISHED_STATES - {JobState.RUNNING})
    await ledger.insert(first)
    assert (await enqueue(ledger, same())).job_id == first.id
    if polled:
        await ledger.worker.claim_available(ledger.worker_id, "events", 1)
    else:
        await ledger.claim_one(first.id)
    second = same(unique_states=UNFINISHED_STATES - {JobState.RUNNING})
    assert (await enqueue(ledger, second)).result is InsertResult.INSERTED
    # Both wait now: the first one's failure must not meet the second.
    outcome = FinishedJob(first.id, 1, RETRYABLE)
    assert await ledger.worker.finish(ledger.worker_id, [outcome]) == 1
    assert (await enqueue(ledger, same())).job_id == second.id


async def test_rivals_for_a_place_whose_window_has_passed_leave_one(
    ledger: LedgerUnderTest,
) -> None:
    first = same(unique_for=WINDOW, unique_states=frozenset(JobState))
    await ledger.insert(first)
    await end(ledger, first, COMPLETED)
    await age(ledger, first, WINDOW)
    rivals = [same(unique_for=WINDOW) for _ in range(12)]
    outcomes = await asyncio.gather(*(enqueue(ledger, rival) for rival in rivals))
    results = [outcome.result for outcome in outcomes]
    assert results.count(InsertResult.INSERTED) == 1
    assert results.count(InsertResult.SKIPPED_AS_DUPLICATE) == 11
    assert len({outcome.job_id for outcome in outcomes}) == 1
    assert len(await ledger.ids()) == 2


async def test_rivals_for_the_place_of_a_job_that_ends_leave_one(ledger: LedgerUnderTest) -> None:
    """While it ends into a state that counts, nobody slips in between."""
    states = UNFINISHED_STATES | {JobState.COMPLETED}
    for _ in range(10):
        place = uuid4()
        first = new_job(unique_key=place, unique_states=states)
        await ledger.insert(first)
        await ledger.claim_one(first.id)
        rivals = [new_job(unique_key=place, unique_states=states) for _ in range(4)]
        finish = ledger.worker.finish(ledger.worker_id, [FinishedJob(first.id, 1, COMPLETED)])
        outcomes, finished = await asyncio.gather(
            asyncio.gather(*(enqueue(ledger, rival) for rival in rivals)), finish
        )
        assert finished == 1
        assert {outcome.job_id for outcome in outcomes} == {first.id}


async def test_a_batch_holds_its_own_duplicates(ledger: LedgerUnderTest) -> None:
    jobs = [same(unique_for=WINDOW) for _ in range(5)]
    outcomes = await ledger.insert(*jobs)
    assert [outcome.job_id for outcome in outcomes] == [jobs[0].id] * 5
    assert await ledger.ids() == [jobs[0].id]


async def test_what_frees_a_place_in_a_batch_goes_before_who_wants_it(
    ledger: LedgerUnderTest,
) -> None:
    holder = same(job_key="k", job_key_mode=JobKeyMode.REPLACE)
    await ledger.insert(holder)
    removal = Removal(id=new_id(), kind=holder.kind, job_key="k")
    before, after, late = same(), same(), same()
    outcomes = await ledger.insert(before, removal, after, late)
    assert [outcome.job_id for outcome in outcomes] == [holder.id, holder.id, after.id, after.id]
    assert [outcome.result for outcome in outcomes] == [
        InsertResult.SKIPPED_AS_DUPLICATE,
        InsertResult.REMOVED,
        InsertResult.INSERTED,
        InsertResult.SKIPPED_AS_DUPLICATE,
    ]
    again = await ledger.insert(before, removal, after, late)
    assert [(each.result, each.job_id) for each in again] == [
        (each.result, each.job_id) for each in outcomes
    ]
    assert all(each.repeated for each in again)


async def test_many_duplicates_are_answered_at_once(ledger: LedgerUnderTest) -> None:
    places = [uuid4() for _ in range(2_000)]
    first = [new_job(unique_key=place, unique_for=WINDOW) for place in places]
    await ledger.insert(*first)
    # One whose window has passed is among them.
    await age(ledger, first[700], WINDOW)
    again = [new_job(unique_key=place) for place in places]
    outcomes = await ledger.insert(*again)
    assert [outcome.job_id for outcome in outcomes] == [
        again[700].id if place == 700 else job.id for place, job in enumerate(first)
    ]
    # One statement has one now().
    receipts = await ledger.execute(
        "SELECT count(*), count(DISTINCT received_at) FROM workerqueue.command_receipts"
    )
    assert receipts == [(1_999, 1)]


async def test_replacing_the_holder_of_a_key_begins_a_window_for_other_arguments_only(
    ledger: LedgerUnderTest,
) -> None:
    holder = same(job_key="k", unique_for=WINDOW)
    await ledger.insert(holder)
    await age(ledger, holder, timedelta(minutes=10))
    before = (await ledger.row(holder.id))["unique_until"]
    await ledger.insert(same(job_key="k", unique_for=WINDOW))
    assert (await ledger.row(holder.id))["unique_until"] == before
    await ledger.insert(new_job(job_key="k", unique_key=uuid4(), unique_for=WINDOW))
    assert (await ledger.row(holder.id))["unique_until"] > before
    await ledger.insert(new_job(job_key="k"))
    row = await ledger.row(holder.id)
    assert (row["unique_key"], row["unique_until"], row["unique_states"]) == (None, None, None)


async def test_a_retried_job_has_its_place_within_its_window_only(ledger: LedgerUnderTest) -> None:
    first, second = same(unique_for=WINDOW), same(unique_for=WINDOW)
    await ledger.insert(first)
    await end(ledger, first, DISCARDED)
    await ledger.insert(second)
    with pytest.raises(QueuedJobReplaced):
        await ledger.operators.retry(first.id, None, BY, admit_to=[])
    await age(ledger, first, WINDOW)
    await ledger.operators.retry(first.id, None, BY, admit_to=[])
    assert (await ledger.row(first.id))["state"] == "available"
    assert (await enqueue(ledger, same())).job_id == second.id


async def test_editing_a_dead_letter_that_counts_into_anothers_place_is_refused(
    ledger: LedgerUnderTest,
) -> None:
    dead = new_job(unique_key=uuid4(), unique_states=frozenset(JobState))
    await ledger.insert(dead, same())
    await end(ledger, dead, DISCARDED)
    with pytest.raises(QueuedJobReplaced):
        await ledger.operators.retry(dead.id, None, BY, admit_to=[], edit=Edit(b'{"n": 1}', PLACE))
    assert (await ledger.row(dead.id))["state"] == "discarded"


async def test_a_window_outlasts_the_retention(ledger: LedgerUnderTest) -> None:
    kept = same(unique_for=timedelta(days=7), unique_states=frozenset(JobState))
    plain = new_job(unique_key=uuid4(), unique_for=timedelta(days=7))
    dead = new_job(
        unique_key=uuid4(), unique_for=timedelta(days=7), unique_states=frozenset(JobState)
    )
    await ledger.insert(kept, plain, dead)
    await end(ledger, kept, COMPLETED)
    await end(ledger, plain, COMPLETED)
    await end(ledger, dead, DISCARDED)

    async def prune() -> int:
        day = timedelta(days=1)
        pruned = await ledger.maintenance.prune(
            ended_longer_ago_than=day, discarded_longer_ago_than=day, limit=10
        )
        return pruned.jobs

    for job in (kept, plain, dead):
        await age(ledger, job, timedelta(days=2))
    assert await prune() == 1
    assert await ledger.ids() == sorted([kept.id, dead.id])
    assert (await enqueue(ledger, same())).job_id == kept.id
    for job in (kept, dead):
        await age(ledger, job, timedelta(days=5))
    assert await prune() == 2


@pytest.mark.parametrize("mask", [0, 1, 4, 3, 128])
async def test_a_set_of_states_that_could_not_be_kept_cannot_be_written(
    ledger: LedgerUnderTest, mask: int
) -> None:
    job = new_job()
    await ledger.insert(job)
    with pytest.raises(Exception, match="queued_jobs_unique_states_check"):
        await ledger.execute(
            "UPDATE workerqueue.queued_jobs SET unique_states = %s WHERE id = %s", mask, job.id
        )


def test_the_bits_of_the_states_stay_as_they_are() -> None:
    """They stand in rows, in an index and in a check."""
    assert [state.bit for state in JobState] == [1, 2, 4, 8, 16, 32, 64]

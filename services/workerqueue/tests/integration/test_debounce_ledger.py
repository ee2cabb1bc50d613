"""Delays by the database's clock, and keys that are enqueued again and again."""

import asyncio
from datetime import datetime, timedelta

import pytest

from kongflow_workerqueue.application.ports import InsertResult, NewJob
from kongflow_workerqueue.domain.states import JobKeyMode
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

KEY = "project:1"
DELAY = timedelta(seconds=10)
LONGEST = timedelta(seconds=60)


def debounced(**options: object) -> NewJob:
    return new_job(**{"job_key": KEY, "delay": DELAY, "longest_wait": LONGEST, **options})


async def times(ledger: LedgerUnderTest, job: NewJob) -> tuple[datetime, datetime]:
    """When the job was created, and when it is to run."""
    row = await ledger.row(job.id)
    return datetime.fromisoformat(row["created_at"]), datetime.fromisoformat(row["run_at"])


async def test_a_delay_counts_from_the_storing(ledger: LedgerUnderTest) -> None:
    job, due = new_job(delay=DELAY), new_job(delay=timedelta())
    outcomes = await ledger.enqueue.insert([job, due], admit_to=["events"])
    assert [outcome.available for outcome in outcomes] == [False, True]
    created, run_at = await times(ledger, job)
    assert run_at - created == DELAY
    assert (await ledger.row(job.id))["state"] == "scheduled"


async def test_each_command_pushes_the_run_time_out_but_never_beyond_the_longest_wait(
    ledger: LedgerUnderTest,
) -> None:
    first = debounced(args=b'{"n": 0}')
    await ledger.insert(first)
    waits = []
    for step in range(1, 9):
        # Eight seconds pass: sooner than the delay, so that without a bound it would never run.
        for column in ("created_at", "run_at"):
            await ledger.shift(first.id, column, -timedelta(seconds=8))
        created, planned = await times(ledger, first)
        [outcome] = await ledger.insert(debounced(args=f'{{"n": {step}}}'.encode()))
        assert (outcome.result, outcome.job_id) == (InsertResult.REPLACED, first.id)
        again, run_at = await times(ledger, first)
        assert again == created
        assert run_at >= planned
        waits.append(run_at - created)
    assert waits == sorted(waits)
    assert all(wait < LONGEST for wait in waits[:6])
    assert waits[6:] == [LONGEST, LONGEST]
    row = await ledger.row(first.id)
    # After eight times eight seconds the longest wait is over.
    assert (row["state"], row["turn"], row["args"]) == ("available", 2, {"n": 8})
    assert await ledger.ids() == [first.id]


async def test_the_longest_wait_bounds_the_first_command_too(ledger: LedgerUnderTest) -> None:
    job = debounced(delay=timedelta(hours=1))
    await ledger.insert(job)
    created, run_at = await times(ledger, job)
    assert run_at - created == LONGEST


async def test_a_run_time_is_pushed_out_as_a_delay_is(ledger: LedgerUnderTest) -> None:
    first = debounced()
    await ledger.insert(first)
    created, _ = await times(ledger, first)
    soon, late = created + timedelta(seconds=40), created + timedelta(seconds=90)
    await ledger.insert(debounced(delay=None, run_at=soon))
    assert await times(ledger, first) == (created, soon)
    await ledger.insert(debounced(delay=None, run_at=late))
    assert await times(ledger, first) == (created, created + LONGEST)


async def test_after_it_ran_the_key_begins_anew(ledger: LedgerUnderTest) -> None:
    first, second = debounced(delay=timedelta()), debounced()
    await ledger.insert(first)
    await ledger.claim_one(first.id)
    [outcome] = await ledger.insert(second)
    assert (outcome.result, outcome.job_id) == (InsertResult.INSERTED, second.id)
    created, run_at = await times(ledger, second)
    assert run_at - created == DELAY


async def test_an_older_command_does_not_push(ledger: LedgerUnderTest) -> None:
    first = debounced(generation=2)
    await ledger.insert(first)
    before = await times(ledger, first)
    [outcome] = await ledger.insert(debounced(generation=1, delay=timedelta(seconds=50)))
    assert outcome.result is InsertResult.IGNORED_AS_OLDER
    assert await times(ledger, first) == before


async def test_many_keys_are_pushed_at_once(ledger: LedgerUnderTest) -> None:
    first = [debounced(job_key=f"project:{n}") for n in range(1_000)]
    await ledger.insert(*first)
    again = [debounced(job_key=f"project:{n}", args=b'{"n": 2}') for n in range(1_000)]
    outcomes = await ledger.insert(*again)
    assert [outcome.job_id for outcome in outcomes] == [job.id for job in first]
    # One statement has one now().
    receipts = await ledger.execute(
        "SELECT count(*), count(DISTINCT received_at) FROM workerqueue.command_receipts"
    )
    assert receipts == [(1_000, 1)]
    changed = await ledger.execute(
        "SELECT count(*) FROM workerqueue.queued_jobs WHERE args = %s::jsonb", '{"n": 2}'
    )
    assert changed == [(1_000,)]
    assert all(outcome.repeated for outcome in await ledger.insert(*again))


async def test_rivals_for_many_keys_leave_no_command_unanswered(ledger: LedgerUnderTest) -> None:
    keys = [f"project:{n}" for n in range(200)]
    first = [debounced(job_key=key) for key in keys]
    await ledger.insert(*first)
    batches = [
        [debounced(job_key=key) for key in (keys if turn % 2 else reversed(keys))]
        for turn in range(6)
    ]
    # One of them comes twice at the same moment, as from a relay that was cut off.
    answers = await asyncio.gather(*(ledger.insert(*batch) for batch in [*batches, batches[0]]))
    assert {outcome.result for outcomes in answers for outcome in outcomes} == {
        InsertResult.REPLACED
    }
    assert await ledger.ids() == sorted(job.id for job in first)
    receipts = await ledger.execute("SELECT count(*) FROM workerqueue.command_receipts")
    assert receipts == [(1_200,)]


@pytest.mark.parametrize("mode", [JobKeyMode.PRESERVE_RUN_AT, JobKeyMode.KEEP_FIRST])
async def test_other_modes_leave_the_run_time(ledger: LedgerUnderTest, mode: JobKeyMode) -> None:
    first = debounced(longest_wait=None)
    await ledger.insert(first)
    before = await times(ledger, first)
    await ledger.insert(
        debounced(longest_wait=None, delay=timedelta(seconds=50), job_key_mode=mode)
    )
    assert await times(ledger, first) == before

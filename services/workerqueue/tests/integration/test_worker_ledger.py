"""Leases, claims, outcomes and admission, as workers see them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.ports import FinishedJob
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue, built_in_kinds
from kongflow_workerqueue.domain.discard import Discard
from kongflow_workerqueue.domain.outcome import (
    COMPLETED,
    CallStatus,
    StatusCode,
    Transition,
)
from kongflow_workerqueue.domain.states import JobState, Priority
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

FAILURE = CallStatus(StatusCode.INTERNAL, "no", b"\x08\x0d\x12\x02no")
RETRY = Transition(
    JobState.RETRYABLE, spends_attempt=True, delay=timedelta(minutes=5), error=FAILURE
)


def finished(job_id: object, transition: Transition = COMPLETED, turn: int = 1) -> FinishedJob:
    return FinishedJob(job_id, turn, transition)  # type: ignore[arg-type]


async def test_a_claim_gives_all_that_the_call_needs(ledger: LedgerUnderTest) -> None:
    job = new_job(
        environment_id=new_id(),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        args=b'{"eventRecordId": "x", "deliveryRevision": 3}',
        waiting_for="kind",
    )
    await ledger.enqueue.insert([job], admit_to=["events"])
    claimed = await ledger.claim_one(job.id)
    assert claimed.id == job.id
    assert (claimed.turn, claimed.attempt, claimed.max_attempts, claimed.lapses) == (1, 0, 3, 0)
    assert (claimed.kind, claimed.queue) == ("deliverEvent", "events")
    assert claimed.priority is Priority.NORMAL
    assert claimed.environment_id == job.environment_id
    assert claimed.traceparent == job.traceparent
    assert b'"eventRecordId": "x"' in claimed.args
    row = await ledger.row(job.id)
    assert row["state"] == "running"
    assert row["worker_id"] == str(ledger.worker_id)
    assert row["attempted_at"] is not None
    assert (row["admitted_at"], row["waiting_for"]) == (None, None)


async def test_a_turn_is_claimed_once_whoever_asks(ledger: LedgerUnderTest) -> None:
    jobs = [new_job() for _ in range(100)]
    await ledger.insert(*jobs)
    entries = [(job.id, 1) for job in jobs]
    workers = [ledger.worker_id, await ledger.another_worker(), await ledger.another_worker()]
    claims = await asyncio.gather(
        *(
            ledger.worker.claim(worker, entries if index % 2 else entries[::-1])
            for index, worker in enumerate(workers)
        )
    )
    ids = [job.id for claim in claims for job in claim]
    assert sorted(ids) == sorted(job.id for job in jobs)


async def test_polling_workers_never_get_the_same_job(ledger: LedgerUnderTest) -> None:
    jobs = [new_job() for _ in range(60)]
    await ledger.enqueue.insert(jobs[:30], admit_to=["events"])
    await ledger.insert(*jobs[30:])
    other = await ledger.another_worker()
    claims = await asyncio.gather(
        *(
            ledger.worker.claim_available(worker, "events", 10)
            for worker in (ledger.worker_id, other) * 4
        )
    )
    ids = [job.id for claim in claims for job in claim]
    assert len(ids) == len(set(ids))
    rest = await ledger.worker.claim_available(other, "events", 100)
    assert sorted([*ids, *(job.id for job in rest)]) == sorted(job.id for job in jobs)


async def test_polling_takes_the_first_of_its_queue_within_its_limit(
    ledger: LedgerUnderTest,
) -> None:
    low, high, elsewhere = (
        new_job(priority=Priority.LOW),
        new_job(priority=Priority.HIGH),
        new_job(queue="execution"),
    )
    await ledger.insert(low, high, elsewhere)
    [first] = await ledger.worker.claim_available(ledger.worker_id, "events", 1)
    assert first.id == high.id
    assert [each.id for each in await ledger.worker.claim_available(ledger.worker_id, "events", 9)]
    assert (await ledger.row(elsewhere.id))["state"] == "available"


async def test_an_old_turn_a_later_job_and_an_unknown_one_are_not_claimed(
    ledger: LedgerUnderTest,
) -> None:
    job, later = new_job(), new_job(run_at=datetime(2090, 1, 1, tzinfo=UTC))
    await ledger.insert(job, later)
    await ledger.claim_one(job.id)
    await ledger.worker.hand_back(ledger.worker_id, [(job.id, 1)])
    entries = [(job.id, 1), (job.id, 3), (later.id, 1), (new_id(), 1)]
    assert await ledger.worker.claim(ledger.worker_id, entries) == []
    assert (await ledger.claim_one(job.id, 2)).turn == 2
    assert await ledger.worker.claim(ledger.worker_id, []) == []


async def test_without_a_living_lease_nothing_is_claimed(ledger: LedgerUnderTest) -> None:
    job = new_job()
    await ledger.insert(job)
    assert await ledger.worker.claim(new_id(), [(job.id, 1)]) == []
    await ledger.end_lease(ledger.worker_id)
    assert await ledger.worker.claim(ledger.worker_id, [(job.id, 1)]) == []
    assert await ledger.worker.claim_available(ledger.worker_id, "events", 5) == []
    assert (await ledger.row(job.id))["state"] == "available"


async def test_a_lease_that_has_ended_is_not_renewed(ledger: LedgerUnderTest) -> None:
    assert await ledger.worker.renew_lease(ledger.worker_id)
    await ledger.end_lease(ledger.worker_id)
    assert not await ledger.worker.renew_lease(ledger.worker_id)
    assert not await ledger.worker.renew_lease(new_id())
    other = await ledger.another_worker()
    await ledger.worker.remove_worker(other)
    assert not await ledger.worker.renew_lease(other)


async def test_finishing_ends_jobs_and_counts_those_that_were_at_their_turn(
    ledger: LedgerUnderTest,
) -> None:
    jobs = [new_job() for _ in range(3)]
    await ledger.insert(*jobs)
    await ledger.worker.claim(ledger.worker_id, [(job.id, 1) for job in jobs])
    await ledger.worker.hand_back(ledger.worker_id, [(jobs[0].id, 1)])
    outcomes = [finished(job.id) for job in jobs]
    assert await ledger.worker.finish(ledger.worker_id, outcomes) == 2
    assert await ledger.worker.finish(ledger.worker_id, outcomes) == 0
    assert (await ledger.row(jobs[0].id))["state"] == "available"
    row = await ledger.row(jobs[1].id)
    assert (row["state"], row["attempt"], row["worker_id"]) == ("completed", 1, None)
    assert row["finalized_at"] is not None
    assert await ledger.worker.finish(ledger.worker_id, []) == 0


async def test_an_old_turn_finishes_nothing(ledger: LedgerUnderTest) -> None:
    job = new_job()
    await ledger.insert(job)
    await ledger.claim_one(job.id)
    await ledger.worker.hand_back(ledger.worker_id, [(job.id, 1)])
    await ledger.claim_one(job.id, 2)
    for transition in (COMPLETED, RETRY):
        assert await ledger.worker.finish(ledger.worker_id, [finished(job.id, transition)]) == 0
    assert (await ledger.row(job.id))["state"] == "running"


async def test_each_outcome_is_written_as_it_is(ledger: LedgerUnderTest) -> None:
    transitions = {
        "completed": Transition(JobState.COMPLETED, spends_attempt=True, error=FAILURE),
        "discarded": Transition(JobState.DISCARDED, spends_attempt=True, error=FAILURE),
        "retryable": RETRY,
        "scheduled": Transition(
            JobState.SCHEDULED,
            spends_attempt=False,
            delay=timedelta(microseconds=2_500_000),
            waiting_for="target:events",
        ),
    }
    jobs = {name: new_job() for name in transitions}
    await ledger.insert(*jobs.values())
    await ledger.worker.claim(ledger.worker_id, [(job.id, 1) for job in jobs.values()])
    outcomes = [finished(jobs[name].id, each) for name, each in transitions.items()]
    assert await ledger.worker.finish(ledger.worker_id, outcomes) == 4
    rows = {name: await ledger.row(job.id) for name, job in jobs.items()}
    assert {name: row["state"] for name, row in rows.items()} == {name: name for name in rows}
    assert {name: row["attempt"] for name, row in rows.items()} == {
        "completed": 1,
        "discarded": 1,
        "retryable": 1,
        "scheduled": 0,
    }
    assert rows["scheduled"]["waiting_for"] == "target:events"
    assert rows["scheduled"]["errors"] is None
    assert rows["retryable"]["errors"][0]["attempt"] == 1
    assert rows["retryable"]["errors"][0]["status"]["message"] == "no"
    for name, at_least in (("retryable", 299), ("scheduled", 2)):
        [(wait,)] = await ledger.execute(
            "SELECT extract(epoch FROM run_at - now())::float8"
            " FROM workerqueue.queued_jobs WHERE id = %s",
            jobs[name].id,
        )
        assert at_least - 10 < wait <= at_least + 1


async def test_the_last_twenty_errors_are_kept(ledger: LedgerUnderTest) -> None:
    job = new_job(max_attempts=100)
    await ledger.insert(job)
    for turn in range(1, 24):
        await ledger.claim_one(job.id, turn)
        failure = CallStatus(StatusCode.INTERNAL, f"failure {turn}\0")
        transition = Transition(JobState.RETRYABLE, spends_attempt=True, error=failure)
        await ledger.worker.finish(ledger.worker_id, [finished(job.id, transition, turn)])
        assert await ledger.maintenance.make_due(10) == {"events": 1}
    errors = (await ledger.row(job.id))["errors"]
    assert [error["attempt"] for error in errors] == list(range(4, 24))
    assert errors[-1]["status"]["message"] == "failure 23\N{REPLACEMENT CHARACTER}"


async def test_what_follows_a_discarded_job_is_stored_with_its_end_or_not_at_all(
    ledger: LedgerUnderTest,
) -> None:
    job, lapsed = new_job(), new_job()
    await ledger.insert(job, lapsed)
    await ledger.worker.claim(ledger.worker_id, [(job.id, 1), (lapsed.id, 1)])
    await ledger.worker.hand_back(ledger.worker_id, [(lapsed.id, 1)])
    discarded = Transition(JobState.DISCARDED, spends_attempt=True, error=FAILURE)
    follow_up, unwanted = new_job(kind="jobDiscarded"), new_job(kind="jobDiscarded")
    outcomes = [
        FinishedJob(job.id, 1, discarded, follow_up),
        FinishedJob(lapsed.id, 1, discarded, unwanted),
    ]
    assert await ledger.worker.finish(ledger.worker_id, outcomes) == 1
    assert (await ledger.row(follow_up.id))["state"] == "available"
    assert unwanted.id not in await ledger.ids()


async def test_what_a_discarded_method_is_told_is_kept_as_it_was_written(
    ledger: LedgerUnderTest,
) -> None:
    job = new_job(args=b'{"endpointIndexId": "i", "itemId": "\\u00e9\\"\\\\"}')
    await ledger.insert(job)
    claimed = await ledger.claim_one(job.id)
    kind = KindCatalogue(built_in_kinds()).find("registerJob")
    assert kind is not None
    assert kind.discarded_kind is not None
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason="NO", domain="jobs\1\u2028"))
    answer = status_pb2.Status(details=[detail]).SerializeToString()
    failure = CallStatus(StatusCode.INTERNAL, "\0\1 \U0001f4a5" * 10_000, answer)
    follow_up = new_job(
        kind=kind.discarded_kind.kind,
        args=kind.discarded_args(claimed.args, Discard(failure, 3, job.id)),
    )
    discarded = Transition(JobState.DISCARDED, spends_attempt=True, error=failure)
    outcome = FinishedJob(job.id, 1, discarded, follow_up)
    assert await ledger.worker.finish(ledger.worker_id, [outcome]) == 1
    stored = await ledger.claim_one(follow_up.id)
    told: Any = kind.discarded_kind.parser.parse(stored.args)
    assert told == kind.discarded_kind.parser.parse(follow_up.args)
    assert len(told.discard.status.details) == 1
    assert len(stored.args) < 10_000


async def test_handing_back_spends_no_attempt_and_is_the_workers_own(
    ledger: LedgerUnderTest,
) -> None:
    job = new_job()
    await ledger.insert(job)
    await ledger.claim_one(job.id)
    other = await ledger.another_worker()
    assert await ledger.worker.hand_back(other, [(job.id, 1)]) == 0
    assert await ledger.worker.hand_back(ledger.worker_id, [(job.id, 1)]) == 1
    row = await ledger.row(job.id)
    assert (row["state"], row["turn"], row["attempt"], row["lapses"]) == ("available", 2, 0, 0)
    assert await ledger.worker.hand_back(ledger.worker_id, []) == 0


async def test_where_jobs_wait_outside_the_window(ledger: LedgerUnderTest) -> None:
    queues = ["events", "default", "execution", "maintenance"]
    assert await ledger.worker.queues_with_waiting(queues) == []
    later = datetime.now(UTC) + timedelta(hours=1)
    await ledger.insert(new_job(), new_job(queue="default"), new_job(queue="other"))
    await ledger.insert(new_job(queue="execution", run_at=later))
    await ledger.enqueue.insert([new_job(queue="maintenance")], admit_to=["maintenance"])
    assert sorted(await ledger.worker.queues_with_waiting(queues)) == ["default", "events"]
    assert await ledger.worker.queues_with_waiting(["execution", "events"]) == ["events"]


async def test_claiming_what_waits_at_the_same_time_claims_each_once(
    ledger: LedgerUnderTest,
) -> None:
    await ledger.insert(*(new_job() for _ in range(50)))
    other = await ledger.another_worker()
    claimed = await asyncio.gather(
        *(
            ledger.worker.claim_waiting(worker, "events", 15)
            for worker in (ledger.worker_id, other) * 3
        )
    )
    ids = [job.id for batch in claimed for job in batch]
    assert len(ids) == len(set(ids)) == 50


@pytest.mark.parametrize("unique", [True, False])
async def test_an_ended_job_frees_its_key_and_its_place(
    ledger: LedgerUnderTest, unique: bool
) -> None:
    place = {"unique_key": uuid4()} if unique else {"job_key": "k"}
    job = new_job(**place)
    await ledger.insert(job)
    await ledger.claim_one(job.id)
    await ledger.worker.finish(ledger.worker_id, [finished(job.id)])
    again = new_job(**place)
    assert (await ledger.insert(again))[0].job_id == again.id

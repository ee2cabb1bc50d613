"""What commands do to the ledger: repeats, keys, generations, uniqueness, order."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.ports import FinishedJob, InsertResult, NewJob, Removal
from kongflow_workerqueue.domain.outcome import COMPLETED
from kongflow_workerqueue.domain.states import JobKeyMode, Priority
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

KEY = "event:1"
FUTURE = datetime(2090, 1, 1, tzinfo=UTC)


def keyed(**options: object) -> NewJob:
    return new_job(job_key=KEY, **options)


def removal(generation: int = 0) -> Removal:
    return Removal(id=new_id(), kind="deliverEvent", job_key=KEY, generation=generation)


async def test_what_is_stored_is_what_was_sent(ledger: LedgerUnderTest) -> None:
    environment = new_id()
    job = new_job(
        priority=Priority.LOW,
        environment_id=environment,
        tags=("a", 'b"{,}\\'),
        metadata=b'{"by": "test"}',
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        waiting_for="kind",
    )
    [outcome] = await ledger.insert(job)
    assert (outcome.result, outcome.job_id) == (InsertResult.INSERTED, job.id)
    assert outcome.available
    assert outcome.admitted is None
    row = await ledger.row(job.id)
    assert row["state"] == "available"
    assert (row["turn"], row["attempt"], row["max_attempts"]) == (1, 0, 3)
    assert row["tags"] == list(job.tags)
    assert row["metadata"] == {"by": "test"}
    assert row["environment_id"] == str(environment)
    assert (row["priority"], row["queue"], row["kind"]) == (3, "events", "deliverEvent")


async def test_a_job_for_later_is_scheduled_and_one_for_earlier_is_due(
    ledger: LedgerUnderTest,
) -> None:
    later, earlier = new_job(run_at=FUTURE), new_job(run_at=datetime(1970, 1, 1, tzinfo=UTC))
    outcomes = await ledger.enqueue.insert([later, earlier], admit_to=["events"])
    assert [each.available for each in outcomes] == [False, True]
    assert outcomes[0].admitted is None
    assert outcomes[1].admitted is not None
    assert (await ledger.row(later.id))["state"] == "scheduled"
    assert (await ledger.row(earlier.id))["state"] == "available"


async def test_only_jobs_of_queues_with_room_are_admitted(ledger: LedgerUnderTest) -> None:
    jobs = [new_job(), new_job(queue="execution")]
    outcomes = await ledger.enqueue.insert(jobs, admit_to=["events"])
    assert outcomes[0].admitted is not None
    assert (outcomes[0].admitted.id, outcomes[0].admitted.turn) == (jobs[0].id, 1)
    assert outcomes[1].admitted is None
    assert outcomes[1].available


async def test_a_repeat_is_answered_as_before_and_stores_nothing(ledger: LedgerUnderTest) -> None:
    first, second = new_job(), new_job()
    await ledger.insert(first)
    outcomes = await ledger.insert(first, second, second)
    assert [each.job_id for each in outcomes] == [first.id, second.id, second.id]
    assert [each.repeated for each in outcomes] == [True, False, True]
    assert await ledger.ids() == sorted([first.id, second.id])


async def test_a_repeat_is_recognised_after_the_job_ended(ledger: LedgerUnderTest) -> None:
    job = new_job(unique_key=uuid4())
    await ledger.insert(job)
    await ledger.claim_one(job.id)
    await ledger.worker.finish(ledger.worker_id, [FinishedJob(job.id, 1, COMPLETED)])
    [outcome] = await ledger.insert(job)
    assert outcome.repeated
    assert (await ledger.row(job.id))["state"] == "completed"


async def test_of_jobs_that_count_as_the_same_the_first_is_kept(ledger: LedgerUnderTest) -> None:
    unique = uuid4()
    first, second, third = (new_job(unique_key=unique) for _ in range(3))
    outcomes = await ledger.insert(first, second)
    outcomes += await ledger.insert(third)
    assert [each.result for each in outcomes] == [
        InsertResult.INSERTED,
        InsertResult.SKIPPED_AS_DUPLICATE,
        InsertResult.SKIPPED_AS_DUPLICATE,
    ]
    assert {each.job_id for each in outcomes} == {first.id}
    await ledger.claim_one(first.id)
    assert (await ledger.insert(new_job(unique_key=unique)))[0].job_id == first.id
    await ledger.worker.finish(ledger.worker_id, [FinishedJob(first.id, 1, COMPLETED)])
    # The skipped command's repeat is answered as it was; a new command has its place again.
    [repeat] = await ledger.insert(second)
    assert (repeat.result, repeat.job_id, repeat.repeated) == (
        InsertResult.SKIPPED_AS_DUPLICATE,
        first.id,
        True,
    )
    assert (await ledger.insert(new_job(unique_key=unique)))[0].result is InsertResult.INSERTED


async def test_a_keyed_command_replaces_the_waiting_holder(ledger: LedgerUnderTest) -> None:
    first = keyed(run_at=FUTURE, args=b'{"n": 1}')
    second = keyed(args=b'{"n": 2}', queue="execution", priority=Priority.HIGH, max_attempts=9)
    await ledger.insert(first)
    [outcome] = await ledger.enqueue.insert([second], admit_to=["execution"])
    assert (outcome.result, outcome.job_id) == (InsertResult.REPLACED, first.id)
    assert outcome.admitted is not None
    row = await ledger.row(first.id)
    assert (row["args"], row["queue"], row["priority"]) == ({"n": 2}, "execution", 1)
    assert (row["state"], row["turn"], row["max_attempts"]) == ("available", 2, 9)
    assert outcome.admitted.turn == 2
    assert await ledger.ids() == [first.id]
    assert (await ledger.insert(second))[0].repeated


async def test_replacing_gives_the_attempts_anew(ledger: LedgerUnderTest) -> None:
    job = keyed()
    await ledger.insert(job)
    await ledger.execute(
        "UPDATE workerqueue.queued_jobs SET state = 'retryable', attempt = 2, turn = 4,"
        " errors = '[{\"attempt\": 1}]', run_at = now() + interval '1 hour' WHERE id = %s",
        job.id,
    )
    await ledger.insert(keyed(run_at=FUTURE))
    row = await ledger.row(job.id)
    assert (row["state"], row["attempt"], row["errors"]) == ("scheduled", 0, None)
    assert row["turn"] == 4
    await ledger.insert(keyed())
    assert (await ledger.row(job.id))["turn"] == 5


async def test_preserving_keeps_the_run_time(ledger: LedgerUnderTest) -> None:
    first = keyed(run_at=FUTURE, args=b'{"n": 1}')
    await ledger.insert(first)
    before = await ledger.row(first.id)
    await ledger.insert(keyed(args=b'{"n": 2}', job_key_mode=JobKeyMode.PRESERVE_RUN_AT))
    row = await ledger.row(first.id)
    assert (row["args"], row["run_at"]) == ({"n": 2}, before["run_at"])
    assert row["state"] == "scheduled"


async def test_keeping_the_first_stores_nothing(ledger: LedgerUnderTest) -> None:
    first = keyed(args=b'{"n": 1}')
    await ledger.insert(first)
    [outcome] = await ledger.insert(
        keyed(args=b'{"n": 2}', job_key_mode=JobKeyMode.KEEP_FIRST, generation=5)
    )
    assert (outcome.result, outcome.job_id) == (InsertResult.KEPT_FIRST, first.id)
    assert (await ledger.row(first.id))["args"] == {"n": 1}


async def test_a_running_holder_loses_its_key(ledger: LedgerUnderTest) -> None:
    first, second = keyed(), keyed()
    await ledger.insert(first)
    await ledger.claim_one(first.id)
    [outcome] = await ledger.insert(second)
    assert (outcome.result, outcome.job_id) == (InsertResult.INSERTED, second.id)
    assert (await ledger.row(first.id))["job_key"] is None
    assert (await ledger.row(first.id))["state"] == "running"
    # It goes on beside the new holder, also when it has to be tried again.
    await ledger.worker.hand_back(ledger.worker_id, [(first.id, 1)])
    assert (await ledger.row(first.id))["state"] == "available"


async def test_a_running_holder_with_the_same_arguments_keeps_its_key(
    ledger: LedgerUnderTest,
) -> None:
    unique = uuid4()
    first = keyed(unique_key=unique)
    await ledger.insert(first)
    await ledger.claim_one(first.id)
    [outcome] = await ledger.insert(keyed(unique_key=unique))
    assert (outcome.result, outcome.job_id) == (InsertResult.SKIPPED_AS_DUPLICATE, first.id)
    assert (await ledger.row(first.id))["job_key"] == KEY


async def test_replacing_by_what_another_job_is_already_keeps_both_as_they_are(
    ledger: LedgerUnderTest,
) -> None:
    unique = uuid4()
    other, holder = new_job(unique_key=unique), keyed(unique_key=uuid4(), args=b'{"n": 1}')
    await ledger.insert(other, holder)
    [outcome] = await ledger.insert(keyed(unique_key=unique, args=b'{"n": 2}'))
    assert (outcome.result, outcome.job_id) == (InsertResult.SKIPPED_AS_DUPLICATE, other.id)
    assert (await ledger.row(holder.id))["args"] == {"n": 1}


async def test_an_older_generation_changes_nothing(ledger: LedgerUnderTest) -> None:
    holder = keyed(generation=7, args=b'{"n": 7}')
    await ledger.insert(holder)
    late: list[NewJob | Removal] = [keyed(generation=6), removal(generation=6)]
    outcomes = await ledger.insert(*late)
    assert [each.result for each in outcomes] == [InsertResult.IGNORED_AS_OLDER] * 2
    assert {each.job_id for each in outcomes} == {holder.id}
    assert (await ledger.row(holder.id))["args"] == {"n": 7}
    assert all(each.repeated for each in await ledger.insert(*late))
    [same] = await ledger.insert(keyed(generation=7, args=b'{"n": 8}'))
    assert same.result is InsertResult.REPLACED


async def test_an_older_generation_does_not_take_the_key_of_a_running_job(
    ledger: LedgerUnderTest,
) -> None:
    holder = keyed(generation=2)
    await ledger.insert(holder)
    await ledger.claim_one(holder.id)
    [outcome] = await ledger.insert(keyed(generation=1))
    assert outcome.result is InsertResult.IGNORED_AS_OLDER
    assert (await ledger.row(holder.id))["job_key"] == KEY


async def test_removing_cancels_a_waiting_job_and_leaves_a_running_one(
    ledger: LedgerUnderTest,
) -> None:
    job = keyed(run_at=FUTURE)
    await ledger.insert(job)
    remove = removal()
    [outcome] = await ledger.insert(remove)
    assert (outcome.result, outcome.job_id) == (InsertResult.REMOVED, job.id)
    assert (await ledger.row(job.id))["state"] == "cancelled"
    assert (await ledger.insert(removal()))[0].result is InsertResult.NOTHING_TO_REMOVE
    # Late repeats of the first removal do not touch the next holder.
    after = keyed()
    await ledger.insert(after)
    assert (await ledger.insert(remove))[0].repeated
    assert (await ledger.row(after.id))["state"] == "available"
    await ledger.claim_one(after.id)
    [outcome] = await ledger.insert(removal())
    assert (outcome.result, outcome.job_id) == (InsertResult.NOTHING_TO_REMOVE, after.id)
    assert (await ledger.row(after.id))["state"] == "running"


async def test_commands_with_one_key_take_effect_in_their_order(ledger: LedgerUnderTest) -> None:
    first, second, third = (keyed(args=f'{{"n": {n}}}'.encode()) for n in range(3))
    outcomes = await ledger.insert(first, second, removal(), third)
    assert [each.result for each in outcomes] == [
        InsertResult.INSERTED,
        InsertResult.REPLACED,
        InsertResult.REMOVED,
        InsertResult.INSERTED,
    ]
    assert (await ledger.row(first.id))["state"] == "cancelled"
    assert (await ledger.row(third.id))["args"] == {"n": 2}


async def test_keys_of_other_kinds_and_environments_are_other_keys(ledger: LedgerUnderTest) -> None:
    environments: list[UUID | None] = [None, new_id(), new_id()]
    jobs = [
        keyed(kind=kind, environment_id=environment)
        for kind in ("deliverEvent", "startRun")
        for environment in environments
    ]
    outcomes = await ledger.insert(*jobs)
    assert {each.result for each in outcomes} == {InsertResult.INSERTED}
    # Also where there is no environment a key is held once.
    [outcome] = await ledger.insert(keyed())
    assert (outcome.result, outcome.job_id) == (InsertResult.REPLACED, jobs[0].id)


async def test_rivals_at_the_same_moment_leave_one_holder(ledger: LedgerUnderTest) -> None:
    rounds = [[keyed(), new_job(), keyed()] for _ in range(8)]
    answers = await asyncio.gather(*(ledger.insert(*commands) for commands in rounds))
    [holder] = await ledger.execute(
        "SELECT id FROM workerqueue.queued_jobs WHERE job_key = %s AND state = 'available'", KEY
    )
    for commands, outcomes in zip(rounds, answers, strict=True):
        assert outcomes[1].job_id == commands[1].id
        assert {outcomes[0].job_id, outcomes[2].job_id} == {holder[0]}


async def test_the_same_at_the_same_moment_is_stored_once(ledger: LedgerUnderTest) -> None:
    keys = [uuid4() for _ in range(20)]
    batches = [
        [new_job(unique_key=key) for key in (keys if turn % 2 else reversed(keys))]
        for turn in range(6)
    ]
    answers = await asyncio.gather(*(ledger.insert(*batch) for batch in batches))
    assert len(await ledger.ids()) == len(keys)
    results = [outcome.result for outcomes in answers for outcome in outcomes]
    assert results.count(InsertResult.INSERTED) == len(keys)
    assert results.count(InsertResult.SKIPPED_AS_DUPLICATE) == 5 * len(keys)


async def test_many_repeats_at_once_are_answered(ledger: LedgerUnderTest) -> None:
    jobs = [new_job() for _ in range(500)]
    await ledger.insert(*jobs[:250])
    outcomes = await ledger.insert(*jobs)
    assert [each.job_id for each in outcomes] == [job.id for job in jobs]
    assert [each.repeated for each in outcomes] == [True] * 250 + [False] * 250


async def test_withdrawn_jobs_wait_among_the_others_again(ledger: LedgerUnderTest) -> None:
    job, gone = new_job(), new_job()
    await ledger.enqueue.insert([job, gone], admit_to=["events"])
    await ledger.claim_one(gone.id)
    await ledger.enqueue.withdraw([(job.id, 1), (gone.id, 1)])
    assert (await ledger.row(job.id))["admitted_at"] is None
    assert (await ledger.row(gone.id))["state"] == "running"
    assert [
        each.id for each in await ledger.worker.claim_waiting(ledger.worker_id, "events", 10)
    ] == [job.id]


async def test_a_wake_up_reaches_whoever_listens(ledger: LedgerUnderTest, ledger_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(ledger_url, autocommit=True) as listener:
        await listener.execute("LISTEN kongflow_workerqueue")
        await ledger.enqueue.wake(["events", "execution"])
        heard = [notice.payload async for notice in listener.notifies(timeout=10, stop_after=2)]
    assert heard == ["events", "execution"]


@pytest.mark.parametrize(
    "wrong",
    [
        "state = 'completed'",
        "state = 'running'",
        "worker_id = gen_random_uuid()",
        "finalized_at = now()",
        "state = 'scheduled', admitted_at = now()",
        "attempt = 4",
        "attempt = -1",
        "max_attempts = 0",
        "turn = 0",
        "priority = 5",
        "state = 'odd'",
        "args = '[]'",
        "kind = ''",
        "queue = ''",
        "job_key = ''",
    ],
)
async def test_rows_that_would_be_lost_or_run_for_ever_cannot_be_written(
    ledger: LedgerUnderTest, wrong: str
) -> None:
    job = new_job()
    await ledger.insert(job)
    with pytest.raises(psycopg.errors.CheckViolation):
        await ledger.execute(f"UPDATE workerqueue.queued_jobs SET {wrong} WHERE id = %s", job.id)

"""The queued jobs of a deleted environment are deleted, those that run when they have ended."""

import asyncio
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.workerqueue.tasks.v1 import workerqueue_tasks_service_pb2 as pb
from kongflow.workerqueue.tasks.v1.workerqueue_tasks_service_pb2_grpc import (
    WorkerQueueTasksServiceStub,
)
from kongflow.workerqueue.v1 import workerqueue_service_pb2 as queue_pb
from kongflow_common.ids import new_id
from kongflow_common.rpc.purge_call import LOOK_AGAIN_AFTER
from kongflow_common.rpc.task_results import Snooze, parse_snooze
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.adapters.ledger_worker import PostgresWorkerLedger
from kongflow_workerqueue.adapters.purges import OF_ENVIRONMENT
from kongflow_workerqueue.application.ports import FinishedJob
from kongflow_workerqueue.domain.outcome import COMPLETED, Transition
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.contract.server_under_test import (
    TIMEOUT,
    ServerUnderTest,
    command,
)

FAR_OFF = Timestamp(seconds=4_000_000_000)
DISCARDED = Transition(JobState.DISCARDED, spends_attempt=True)


async def purge(server: ServerUnderTest, environment_id: UUID) -> tuple[int, Snooze | None]:
    """What a call of the worker deletes, and when it is to be repeated."""
    request = pb.PurgeEnvironmentRequest()
    request.event.resource_id = str(environment_id)
    call = WorkerQueueTasksServiceStub(server.server.tasks_channel).PurgeEnvironment(
        request, metadata=bearer(server.server.service_token("workerqueue")), timeout=TIMEOUT
    )
    return (await call).deleted, parse_snooze(await call.trailing_metadata())


async def enqueued(server: ServerUnderTest, environment_id: UUID | None, **options: object) -> str:
    environment = {"environment_id": str(environment_id)} if environment_id is not None else {}
    [result] = await server.enqueue(command(**environment, **options))
    return result.queued_job_id


async def left(server: ServerUnderTest) -> set[str]:
    rows = await server.database.pool.execute("SELECT id FROM workerqueue.queued_jobs")
    return {str(row[0]) for row in rows}


async def test_jobs_of_every_state_go_and_those_of_others_stay(server: ServerUnderTest) -> None:
    gone = new_id()
    stays = {await enqueued(server, environment) for environment in (None, new_id())}
    ended = await enqueued(server, gone)
    await server.finish(ended, COMPLETED)
    discarded = await enqueued(server, gone)
    await server.finish(discarded, DISCARDED)
    await enqueued(server, gone, run_time=FAR_OFF)
    await enqueued(server, gone)
    running = await enqueued(server, gone)
    ledger, worker_id = PostgresWorkerLedger(server.database), new_id()
    await ledger.register_worker(worker_id, host="test", pid=1)
    [job] = await ledger.claim(worker_id, [(UUID(running), 1)])

    assert await purge(server, gone) == (4, Snooze(LOOK_AGAIN_AFTER))
    assert await left(server) == {running, *stays}
    await ledger.finish(worker_id, [FinishedJob(job.id, job.turn, COMPLETED)])
    assert await purge(server, gone) == (1, Snooze(LOOK_AGAIN_AFTER))
    assert await purge(server, gone) == (0, None)
    assert await left(server) == stays


async def test_a_claim_that_comes_too_late_finds_nothing(server: ServerUnderTest) -> None:
    gone = new_id()
    job = await enqueued(server, gone)
    await purge(server, gone)
    ledger, worker_id = PostgresWorkerLedger(server.database), new_id()
    await ledger.register_worker(worker_id, host="test", pid=1)
    assert await ledger.claim(worker_id, [(UUID(job), 1)]) == []


async def test_redrives_go_and_the_audit_stays(server: ServerUnderTest) -> None:
    gone = server.server.credentials.add_environment().environment_id
    job = await enqueued(server, gone)
    await server.finish(job, DISCARDED)
    begun = await server.stub.RedriveQueuedJobs(
        queue_pb.RedriveQueuedJobsRequest(),
        metadata=bearer(server.operator, environment_id=gone),
        timeout=TIMEOUT,
    )
    assert begun.redrive.id
    while (await purge(server, gone))[0]:
        pass
    for table, rows in (("redrives", 0), ("audit_entries", 1)):
        [(count,)] = await server.database.pool.execute(
            f"SELECT count(*) FROM workerqueue.{table} WHERE environment_id = %s", [gone]
        )
        assert count == rows, table


async def test_a_job_that_somebody_changes_is_passed_over(server: ServerUnderTest) -> None:
    """A purge does not wait for others, and others do not wait long for it."""
    gone = new_id()
    held, free = await enqueued(server, gone), await enqueued(server, gone)
    async with server.database.pool.connection() as connection, connection.transaction():
        await connection.execute(
            "SELECT 1 FROM workerqueue.queued_jobs WHERE id = %s FOR UPDATE", [held]
        )
        async with asyncio.timeout(5):
            assert await purge(server, gone) == (1, Snooze(LOOK_AGAIN_AFTER))
        assert await left(server) == {held}
    assert free not in await left(server)
    assert (await purge(server, gone))[0] == 1


async def test_a_redrive_that_goes_on_meanwhile_is_found_again(server: ServerUnderTest) -> None:
    gone = server.server.credentials.add_environment().environment_id
    pool = server.database.pool
    # Far ahead: nobody carries it out but this test.
    await pool.execute(
        "INSERT INTO workerqueue.redrives (id, environment_id, filter, total_count, next_at,"
        " jobs_per_second, caller_name) VALUES (%s, %s, '', 2, now() + interval '1 day', 1, 'ops')",
        [new_id(), gone],
    )
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(
            "UPDATE workerqueue.redrives SET redriven_count = 1 WHERE environment_id = %s", [gone]
        )
        purging = asyncio.create_task(purge(server, gone))
        await eventually(lambda: _somebody_waits(server))
    assert await purging == (2, Snooze(LOOK_AGAIN_AFTER))
    assert await purge(server, gone) == (0, None)
    [(count,)] = await pool.execute(
        "SELECT count(*) FROM workerqueue.redrives WHERE environment_id = %s", [gone]
    )
    assert count == 0


async def _somebody_waits(server: ServerUnderTest) -> bool:
    [(waiting,)] = await server.database.pool.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND query LIKE '%%workerqueue.redrives%%'"
    )
    return bool(waiting)


async def test_no_statement_deletes_more_than_it_is_told(server: ServerUnderTest) -> None:
    gone = new_id()
    for _ in range(5):
        await enqueued(server, gone)
    sizes = []
    while rows := await server.database.pool.execute(
        OF_ENVIRONMENT[0], {"owner_id": gone, "limit": 2}
    ):
        sizes.append(len(rows))
    assert sizes == [2, 2, 1]

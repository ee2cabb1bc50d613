"""WorkerQueueService over a real channel."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import bearer
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode, Transition
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.contract.server_under_test import (
    TIMEOUT,
    ServerUnderTest,
    command,
    fields,
    reason,
    status_of,
)

LATER = Timestamp(seconds=int(datetime(2090, 1, 1, tzinfo=UTC).timestamp()))
ANSWER = status_pb2.Status(code=int(StatusCode.INTERNAL), message="it broke")
ANSWER.details.add().Pack(error_details_pb2.ErrorInfo(reason="BROKEN", domain="events.kongflow"))
FAILURE = CallStatus(StatusCode.INTERNAL, "it broke", ANSWER.SerializeToString())
DISCARDED = Transition(JobState.DISCARDED, spends_attempt=True, error=FAILURE)
RETRYABLE = Transition(
    JobState.RETRYABLE, spends_attempt=True, delay=timedelta(hours=1), error=FAILURE
)


async def enqueued(server: ServerUnderTest, count: int = 1, **options: Any) -> list[str]:
    results = await server.enqueue(*(command(**options) for _ in range(count)))
    return [result.queued_job_id for result in results]


async def test_a_job_is_shown_whole(server: ServerUnderTest) -> None:
    [job_id] = await enqueued(server, args=b'{"eventRecordId": "x", "deliveryRevision": 2}')
    await server.finish(job_id, RETRYABLE)
    job = await server.get(job_id)
    assert job.state == QueuedJob.STATE_RETRYABLE
    assert (job.attempt, job.turn) == (1, 1)
    assert job.args["eventRecordId"] == "x"
    assert job.args["deliveryRevision"] == 2
    [error] = job.errors
    assert error.attempt == 1
    assert error.status == ANSWER
    assert job.HasField("attempt_time")
    assert not job.HasField("end_time")
    assert job.run_time.seconds > job.create_time.seconds + 3_000


async def test_lists_go_from_the_newest_page_by_page_without_arguments(
    server: ServerUnderTest,
) -> None:
    ids = await enqueued(server, 7)
    seen: list[str] = []
    token = ""
    for size in (3, 3, 1):
        page = await server.list(page_size=3, page_token=token)
        assert len(page.queued_jobs) == size
        assert not any(job.HasField("args") for job in page.queued_jobs)
        seen += [job.id for job in page.queued_jobs]
        token = page.next_page_token
    assert token == ""
    assert seen == ids[::-1]


async def test_a_job_that_comes_between_pages_moves_nothing(server: ServerUnderTest) -> None:
    ids = await enqueued(server, 4)
    first = await server.list(page_size=2)
    await enqueued(server, 3)
    second = await server.list(page_size=2, page_token=first.next_page_token)
    assert [job.id for job in [*first.queued_jobs, *second.queued_jobs]] == ids[::-1]


async def test_the_newest_error_is_in_lists(server: ServerUnderTest) -> None:
    [job_id] = await enqueued(server)
    await server.finish(job_id, DISCARDED)
    [job] = (await server.list()).queued_jobs
    assert [error.status.message for error in job.errors] == ["it broke"]
    assert job.state == QueuedJob.STATE_DISCARDED
    assert job.HasField("end_time")


async def test_filters(server: ServerUnderTest) -> None:
    environment = new_id()
    await enqueued(server, 2)
    [scheduled] = await enqueued(
        server, run_time=LATER, environment_id=str(environment), tags=["urgent", "x"]
    )
    [unknown] = await enqueued(server, kind="comesLater")
    [discarded] = await enqueued(server)
    await server.finish(discarded, DISCARDED)
    for text, expected in [
        ('state = "SCHEDULED"', [scheduled]),
        ('state = "DISCARDED" OR state = "SCHEDULED"', [discarded, scheduled]),
        ('state = "AVAILABLE" AND queue = "default"', [unknown]),
        ("state = Scheduled OR state = discarded", [discarded, scheduled]),
        ('tags:"urgent"', [scheduled]),
        ('tags:"urg"', []),
        ("kind = comesLater", [unknown]),
        ("priority = NORMAL", [unknown]),
        ('run_time > "2080-01-01T00:00:00Z"', [scheduled]),
        ('create_time < "2020-01-01T00:00:00Z"', []),
        (f'environment_id = "{environment}"', [scheduled]),
    ]:
        jobs = (await server.list(filter=text)).queued_jobs
        assert [job.id for job in jobs] == expected, text
    assert len((await server.list(filter='state != "AVAILABLE"')).queued_jobs) == 2
    assert len((await server.list(filter=f'NOT environment_id = "{environment}"')).queued_jobs) == 4


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"filter": "state = ODD"}, "filter"),
        ({"filter": "colour = red"}, "filter"),
        ({"filter": 'state = "RUNNING" AND'}, "filter"),
        ({"filter": "state < RUNNING"}, "filter"),
        ({"filter": "kind:deliverEvent"}, "filter"),
        ({"filter": "tags = urgent"}, "filter"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "nonsense"}, "page_token"),
    ],
)
async def test_a_bad_list_request_names_its_field(
    server: ServerUnderTest, request_fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await server.list(**request_fields)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(status_of(raised.value)) == [field]


async def test_a_page_token_serves_its_own_list_only(server: ServerUnderTest) -> None:
    await enqueued(server, 3)
    token = (await server.list(page_size=1)).next_page_token
    environment = server.server.credentials.add_environment().environment_id
    for other in ({"filter": "kind = deliverEvent"}, {"environment_id": environment}):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await server.list(page_size=1, page_token=token, **other)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_operator_who_names_an_environment_sees_only_its_jobs(
    server: ServerUnderTest,
) -> None:
    mine = server.server.credentials.add_environment().environment_id
    other = server.server.credentials.add_environment().environment_id
    [own] = await enqueued(server, environment_id=str(mine), run_time=LATER)
    [foreign] = await enqueued(server, environment_id=str(other), run_time=LATER)
    [above] = await enqueued(server, run_time=LATER)
    jobs = (await server.list(environment_id=mine)).queued_jobs
    assert [job.id for job in jobs] == [own]
    assert (await server.get(own, mine)).id == own
    for hidden in (foreign, above, str(uuid4())):
        for call in (server.get, server.retry):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call(hidden, mine)
            assert raised.value.code() is grpc.StatusCode.NOT_FOUND
            assert reason(status_of(raised.value)) == "QUEUED_JOB_NOT_FOUND"
    assert (await server.get(foreign)).state == QueuedJob.STATE_SCHEDULED


async def test_retrying_makes_a_job_available_at_once(server: ServerUnderTest) -> None:
    [waiting] = await enqueued(server, run_time=LATER)
    [dead] = await enqueued(server)
    await server.finish(dead, DISCARDED)
    await server.window.pop("events", 10)
    for job_id in (waiting, dead):
        job = await server.retry(job_id)
        assert job.state == QueuedJob.STATE_AVAILABLE
        assert (job.turn, job.attempt) == (2, 0)
    popped = await server.window.pop("events", 10)
    assert {(str(id_), turn) for id_, turn in popped.entries} == {(waiting, 2), (dead, 2)}
    assert (await server.retry(dead)).turn == 2


async def test_retrying_is_refused_where_it_would_run_twice(server: ServerUnderTest) -> None:
    [dead] = await enqueued(server, job_key="k")
    await server.finish(dead, DISCARDED)
    [holder] = await enqueued(server, job_key="k")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await server.retry(dead)
    assert raised.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert reason(status_of(raised.value)) == "QUEUED_JOB_REPLACED"
    await server.database.pool.execute(
        "UPDATE workerqueue.queued_jobs SET state = 'running', admitted_at = NULL,"
        " worker_id = gen_random_uuid() WHERE id = %s",
        [UUID(holder)],
    )
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await server.retry(holder)
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason(status_of(raised.value)) == "QUEUED_JOB_RUNNING"


@pytest.mark.parametrize("job_id", ["", "1", "x" * 36])
async def test_a_bad_id_is_named(server: ServerUnderTest, job_id: str) -> None:
    for call in (server.get, server.retry):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(job_id)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert fields(status_of(raised.value)) == ["id"]


async def test_who_is_let_in(server: ServerUnderTest) -> None:
    credentials = server.server.credentials
    environment = credentials.add_environment()
    [job_id] = await enqueued(server, run_time=LATER)
    reader = credentials.add_operator("queue:read")
    for credential, allowed in [
        (credentials.add_secret_key(environment), {"get": False, "retry": False}),
        (credentials.add_public_key(environment), {"get": False, "retry": False}),
        (credentials.add_operator("events:read"), {"get": False, "retry": False}),
        (reader, {"get": True, "retry": False}),
        (server.server.service_token("events"), {"get": True, "retry": False}),
    ]:
        outcomes = {
            "get": await code_of_get(server, credential, job_id),
            "retry": await code_of_retry(server, credential, job_id),
        }
        for name, may in allowed.items():
            expected = grpc.StatusCode.OK if may else grpc.StatusCode.PERMISSION_DENIED
            assert outcomes[name] is expected, (credential[:3], name)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await server.stub.GetQueuedJob(pb.GetQueuedJobRequest(id=job_id), timeout=TIMEOUT)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert (await server.get(job_id)).state == QueuedJob.STATE_SCHEDULED


async def code_of_get(server: ServerUnderTest, credential: str, job_id: str) -> grpc.StatusCode:
    call = server.stub.GetQueuedJob(
        pb.GetQueuedJobRequest(id=job_id), metadata=bearer(credential), timeout=TIMEOUT
    )
    return await call.code()


async def code_of_retry(server: ServerUnderTest, credential: str, job_id: str) -> grpc.StatusCode:
    call = server.stub.RetryQueuedJob(
        pb.RetryQueuedJobRequest(id=job_id), metadata=bearer(credential), timeout=TIMEOUT
    )
    return await call.code()


async def test_a_service_sees_the_jobs_of_its_own_kinds(server: ServerUnderTest) -> None:
    [own] = await enqueued(server, args=b'{"eventRecordId": "x", "deliveryRevision": 1}')
    [unknown] = await enqueued(server, kind="comesLater")

    async def listed(service: str, text: str = "") -> list[str]:
        page = await server.stub.ListQueuedJobs(
            pb.ListQueuedJobsRequest(filter=text),
            metadata=bearer(server.server.service_token(service)),
            timeout=TIMEOUT,
        )
        return [job.id for job in page.queued_jobs]

    assert await listed("events") == [own]
    assert await listed("events", 'args.eventRecordId = "x"') == [own]
    assert await listed("events", "kind = comesLater OR state = AVAILABLE") == [own]
    assert await listed("runs") == []
    assert await listed("workerqueue") == []
    for service, job_id, is_found in (
        ("events", own, True),
        ("events", unknown, False),
        ("runs", own, False),
    ):
        call = server.stub.GetQueuedJob(
            pb.GetQueuedJobRequest(id=job_id),
            metadata=bearer(server.server.service_token(service)),
            timeout=TIMEOUT,
        )
        if is_found:
            assert (await call).queued_job.args["eventRecordId"] == "x"
            continue
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND

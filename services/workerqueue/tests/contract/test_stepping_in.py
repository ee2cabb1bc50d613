"""Operators step in over a real channel: cancel, delete, pause, and what is shown to whom."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import grpc
import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.queue_pb2 import Queue
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow_common.testing.grpc_server import bearer
from kongflow_workerqueue.domain.outcome import COMPLETED, Transition
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
ACTS: dict[str, Callable[[], Any]] = {
    "CancelQueuedJob": lambda: pb.CancelQueuedJobRequest(id=str(uuid4())),
    "DeleteQueuedJob": lambda: pb.DeleteQueuedJobRequest(id=str(uuid4())),
    "ListQueues": pb.ListQueuesRequest,
    "GetQueueStats": lambda: pb.GetQueueStatsRequest(queue="events"),
    "PauseQueue": lambda: pb.PauseQueueRequest(queue="maintenance"),
    "RedriveQueuedJobs": lambda: pb.RedriveQueuedJobsRequest(validate_only=True),
    "GetRedrive": lambda: pb.GetRedriveRequest(id=str(uuid4())),
    "CancelRedrive": lambda: pb.CancelRedriveRequest(id=str(uuid4())),
    "ResumeQueue": lambda: pb.ResumeQueueRequest(queue="maintenance"),
    "LimitQueue": lambda: pb.LimitQueueRequest(queue="maintenance", max_running=3),
}
DISCARDED = Transition(JobState.DISCARDED, spends_attempt=True)
NOWHERE = {"CancelQueuedJob", "DeleteQueuedJob", "GetRedrive", "CancelRedrive"}
READS = {"ListQueues", "GetQueueStats", "GetRedrive"}


async def act(server: ServerUnderTest, request: Any, credential: str | None = None) -> Any:
    method = type(request).__name__.removesuffix("Request")
    return await getattr(server.stub, method)(
        request, metadata=bearer(credential or server.operator), timeout=TIMEOUT
    )


async def refusal(server: ServerUnderTest, request: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await act(server, request)
    return raised.value


async def enqueued(server: ServerUnderTest, **options: Any) -> str:
    [result] = await server.enqueue(command(**options))
    return result.queued_job_id


async def test_a_job_is_cancelled_then_deleted(server: ServerUnderTest) -> None:
    job_id = await enqueued(server, run_time=LATER)
    too_early = await refusal(server, pb.DeleteQueuedJobRequest(id=job_id))
    assert too_early.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason(status_of(too_early)) == "QUEUED_JOB_NOT_ENDED"
    answer = await act(server, pb.CancelQueuedJobRequest(id=job_id, reason="a mistake"))
    assert answer.queued_job.state == QueuedJob.STATE_CANCELLED
    again = await refusal(server, pb.CancelQueuedJobRequest(id=job_id))
    assert again.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason(status_of(again)) == "QUEUED_JOB_ENDED"
    await act(server, pb.DeleteQueuedJobRequest(id=job_id))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await server.get(job_id)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    rows = await server.database.pool.execute(
        "SELECT action, caller, reason FROM workerqueue.audit_entries ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [
        ("cancel", "operator", "a mistake"),
        ("delete", "operator", None),
    ]


async def test_a_finished_job_is_not_cancelled(server: ServerUnderTest) -> None:
    job_id = await enqueued(server)
    await server.finish(job_id, COMPLETED)
    error = await refusal(server, pb.CancelQueuedJobRequest(id=job_id))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_whoever_waits_for_a_cancelled_job_is_told(server: ServerUnderTest) -> None:
    [result] = await server.enqueue(
        command(
            kind="registerJob",
            args=orjson.dumps({"endpointIndexId": "index", "itemId": "item"}),
            run_time=LATER,
        ),
        service="endpoints",
    )
    await act(server, pb.CancelQueuedJobRequest(id=result.queued_job_id))
    [told, _] = (await server.list()).queued_jobs
    assert told.state == QueuedJob.STATE_AVAILABLE
    args = MessageToDict((await server.get(told.id)).args)
    assert args["request"]["itemId"] == "item"
    assert args["discard"]["queuedJobId"] == result.queued_job_id
    assert args["discard"]["status"]["code"] == grpc.StatusCode.CANCELLED.value[0]


async def test_a_queue_is_paused_shown_and_resumed(server: ServerUnderTest) -> None:
    await enqueued(server)
    paused = (await act(server, pb.PauseQueueRequest(queue="events", reason="r"))).queue
    assert paused.HasField("pause_time")
    queues: list[Queue] = list((await act(server, pb.ListQueuesRequest())).queues)
    assert [queue.name for queue in queues] == sorted(queue.name for queue in queues)
    [shown] = [queue for queue in queues if queue.HasField("pause_time")]
    assert (shown.name, shown.available_count) == ("events", 1)
    again = (await act(server, pb.PauseQueueRequest(queue="events"))).queue
    assert again.pause_time == paused.pause_time
    resumed = (await act(server, pb.ResumeQueueRequest(queue="events"))).queue
    assert not resumed.HasField("pause_time")


async def test_a_queue_is_limited_shown_and_set_free(server: ServerUnderTest) -> None:
    await enqueued(server)
    limited = (await act(server, pb.LimitQueueRequest(queue="events", max_running=3))).queue
    assert limited.max_running == 3
    [shown] = [
        queue
        for queue in (await act(server, pb.ListQueuesRequest())).queues
        if queue.name == "events"
    ]
    assert shown.max_running == 3
    stats = (await act(server, pb.GetQueueStatsRequest(queue="events"))).queue_stats
    assert stats.queue.max_running == 3
    free = (await act(server, pb.LimitQueueRequest(queue="events"))).queue
    assert free.max_running == 0
    for most in (-1, 100_001):
        error = await refusal(server, pb.LimitQueueRequest(queue="events", max_running=most))
        assert fields(status_of(error)) == ["max_running"]


async def test_queues_come_in_pages(server: ServerUnderTest) -> None:
    names: list[str] = []
    token = ""
    for _ in range(10):
        page = await act(server, pb.ListQueuesRequest(page_size=3, page_token=token))
        names += [queue.name for queue in page.queues]
        token = page.next_page_token
        if not token:
            break
    assert names == sorted({"default", "events", "execution", "maintenance", *names})
    assert len(names) >= 4
    error = await refusal(server, pb.ListQueuesRequest(page_token="no token"))
    assert fields(status_of(error)) == ["page_token"]


async def test_what_a_queue_has_done(server: ServerUnderTest) -> None:
    await server.finish(await enqueued(server), COMPLETED)
    environment = str(uuid4())
    await enqueued(server, environment_id=environment)
    stats = (await act(server, pb.GetQueueStatsRequest(queue="events"))).queue_stats
    assert stats.last_minute.completed_count == 1
    assert stats.last_five_minutes.completed_count == 1
    assert stats.queue.available_count == 1
    [share] = stats.environments
    assert (share.environment_id, share.unfinished_count) == (environment, 1)


@pytest.mark.parametrize(
    "request_of", [pb.GetQueueStatsRequest, pb.PauseQueueRequest, pb.ResumeQueueRequest]
)
async def test_a_queue_must_be_named_and_known(
    server: ServerUnderTest, request_of: Callable[..., Any]
) -> None:
    error = await refusal(server, request_of(queue=""))
    assert fields(status_of(error)) == ["queue"]
    error = await refusal(server, request_of(queue="nowhere"))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert reason(status_of(error)) == "QUEUE_NOT_FOUND"


@pytest.mark.parametrize("method", ["PauseQueue", "ResumeQueue", "LimitQueue"])
async def test_a_queue_is_not_stepped_into_for_one_environment(
    server: ServerUnderTest, method: str
) -> None:
    request = getattr(pb, f"{method}Request")(queue="events")
    environment = server.server.credentials.add_environment().environment_id
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await getattr(server.stub, method)(
            request,
            metadata=bearer(server.operator, environment_id=environment),
            timeout=TIMEOUT,
        )
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(status_of(raised.value)) == ["kongflow-environment"]
    stats = (await act(server, pb.GetQueueStatsRequest(queue="events"))).queue_stats
    assert not stats.queue.HasField("pause_time")


async def test_a_reason_has_a_length(server: ServerUnderTest) -> None:
    error = await refusal(server, pb.PauseQueueRequest(queue="events", reason="x" * 513))
    assert fields(status_of(error)) == ["reason"]


async def test_arguments_are_shown_to_those_who_may_see_them(server: ServerUnderTest) -> None:
    job_id = await enqueued(server)
    credentials = server.server.credentials
    for scopes, shown in [
        (("queue:read",), False),
        (("queue:read", "queue:arguments"), True),
        (("*",), True),
    ]:
        request = pb.GetQueuedJobRequest(id=job_id)
        job = (await act(server, request, credentials.add_operator(*scopes))).queued_job
        assert job.HasField("args") is shown, scopes


@pytest.mark.parametrize("method", ACTS)
async def test_only_operators_with_the_scope_step_in(server: ServerUnderTest, method: str) -> None:
    credentials = server.server.credentials
    environment = credentials.add_environment()
    denied = [
        credentials.add_secret_key(environment),
        credentials.add_public_key(environment),
        credentials.add_operator("events:read", "queue:arguments"),
        server.server.service_token("events"),
    ]
    reader = credentials.add_operator("queue:read")
    if method not in READS:
        denied.append(reader)
    elif method in NOWHERE:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await act(server, ACTS[method](), reader)
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    else:
        await act(server, ACTS[method](), reader)
    for credential in denied:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await act(server, ACTS[method](), credential)
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_dead_letter_runs_with_other_arguments(server: ServerUnderTest) -> None:
    environment = str(uuid4())
    job_id = await enqueued(server, environment_id=environment)
    former = (await server.get(job_id)).args["eventRecordId"]
    await server.finish(job_id, DISCARDED)
    other = orjson.dumps({"eventRecordId": "other", "deliveryRevision": 2})
    request = pb.RetryQueuedJobRequest(id=job_id, args=other, reason="misspelt")
    job = (await act(server, request)).queued_job
    assert (job.state, job.environment_id) == (QueuedJob.STATE_AVAILABLE, environment)
    assert MessageToDict(job.args) == {"eventRecordId": "other", "deliveryRevision": 2.0}
    rows = await server.database.pool.execute(
        "SELECT action, reason, former_args->>'eventRecordId' FROM workerqueue.audit_entries"
        " ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [
        ("edit", "misspelt", former),
        ("retry", "misspelt", None),
    ]
    # It counts as the same as what has these arguments now, no longer as what had its own.
    [same] = await server.enqueue(command(args=other, environment_id=environment))
    assert same.queued_job_id == job_id


async def test_other_arguments_are_checked_and_only_for_dead_letters(
    server: ServerUnderTest,
) -> None:
    job_id = await enqueued(server)
    args = orjson.dumps({"eventRecordId": "other", "deliveryRevision": 2})
    error = await refusal(server, pb.RetryQueuedJobRequest(id=job_id, args=args))
    assert reason(status_of(error)) == "QUEUED_JOB_NOT_DISCARDED"
    await server.finish(job_id, DISCARDED)
    for bad in (b"[]", b"{", b'{"deliveryRevision": "many"}'):
        error = await refusal(server, pb.RetryQueuedJobRequest(id=job_id, args=bad))
        assert fields(status_of(error)) == ["args"], bad
    writer = server.server.credentials.add_operator("queue:read", "queue:write")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await act(server, pb.RetryQueuedJobRequest(id=job_id, args=args), writer)
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert (await server.get(job_id)).state == QueuedJob.STATE_DISCARDED

"""A service sees the queued jobs of its own kinds, whatever it asks for."""

from uuid import uuid4

import grpc
import orjson
import pytest

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow_common.testing.grpc_server import bearer
from services.workerqueue.tests.contract.server_under_test import (
    TIMEOUT,
    ServerUnderTest,
    command,
    reason,
    status_of,
)


async def listed(server: ServerUnderTest, service: str, filter_: str = "") -> set[str]:
    """The kinds that a service finds."""
    response = await server.stub.ListQueuedJobs(
        pb.ListQueuedJobsRequest(filter=filter_),
        metadata=bearer(server.server.service_token(service)),
        timeout=TIMEOUT,
    )
    return {job.kind for job in response.queued_jobs}


@pytest.fixture
async def ids(server: ServerUnderTest) -> dict[str, str]:
    """A job of events, one of runs and one of a kind that nobody declares, by kind."""
    start = command(kind="startRun", args=orjson.dumps({"runId": str(uuid4())}))
    [event] = await server.enqueue(command())
    [run] = await server.enqueue(start, service="runs")
    [nobodys] = await server.enqueue(command(kind="unheardOf", args=b"{}"), service="runs")
    return {
        "deliverEvent": event.queued_job_id,
        "startRun": run.queued_job_id,
        "unheardOf": nobodys.queued_job_id,
    }


@pytest.mark.usefixtures("ids")
async def test_a_list_holds_its_own_kinds(server: ServerUnderTest) -> None:
    assert await listed(server, "events") == {"deliverEvent"}
    assert await listed(server, "runs") == {"startRun"}
    assert await listed(server, "tenancy") == set()
    assert {job.kind for job in (await server.list()).queued_jobs} == {
        "deliverEvent",
        "startRun",
        "unheardOf",
    }


@pytest.mark.usefixtures("ids")
async def test_no_filter_reaches_beyond_them(server: ServerUnderTest) -> None:
    other = 'kind = "startRun" OR kind = "deliverEvent"'
    assert await listed(server, "events", other) == {"deliverEvent"}
    assert await listed(server, "events", 'kind = "startRun"') == set()
    assert await listed(server, "events", 'NOT kind = "deliverEvent"') == set()


async def test_a_job_of_another_service_is_not_there(
    server: ServerUnderTest, ids: dict[str, str]
) -> None:
    for service, own in [("events", "deliverEvent"), ("runs", "startRun")]:
        for kind, job_id in ids.items():
            call = server.stub.GetQueuedJob(
                pb.GetQueuedJobRequest(id=job_id),
                metadata=bearer(server.server.service_token(service)),
                timeout=TIMEOUT,
            )
            if kind == own:
                assert (await call).queued_job.kind == kind
                continue
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert reason(status_of(refused.value)) == "QUEUED_JOB_NOT_FOUND"

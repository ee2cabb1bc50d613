"""Operators see periodic jobs over a real channel, and step in."""

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from kongflow.workerqueue.v1 import periodic_jobs_service_pb2 as pb
from kongflow.workerqueue.v1.periodic_jobs_service_pb2_grpc import PeriodicJobsServiceStub
from kongflow_common.testing.grpc_server import bearer
from kongflow_workerqueue.adapters.ledger_periodic import PostgresPeriodicLedger
from kongflow_workerqueue.application.periodic_jobs import DeclaredPeriodicJob
from kongflow_workerqueue.domain.schedule import Schedule
from kongflow_workerqueue.domain.states import Priority
from services.workerqueue.tests.contract.server_under_test import (
    TIMEOUT,
    ServerUnderTest,
    fields,
    reason,
    status_of,
)

FAR = datetime(2090, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def declared(server: ServerUnderTest) -> None:
    await server.database.pool.execute("TRUNCATE workerqueue.periodic_jobs")
    await PostgresPeriodicLedger(server.database).declare(
        [
            (
                DeclaredPeriodicJob(
                    name=name,
                    schedule=Schedule("0 4 * * sun", "America/New_York"),
                    kind="purge",
                    args=b"{}",
                    queue="maintenance",
                    priority=Priority.LOW,
                    max_attempts=3,
                ),
                FAR,
            )
            for name in ("a", "b", "c")
        ]
    )


async def act(server: ServerUnderTest, request: Any, credential: str | None = None) -> Any:
    stub = PeriodicJobsServiceStub(server.server.channel)
    method = type(request).__name__.removesuffix("Request")
    return await getattr(stub, method)(
        request, metadata=bearer(credential or server.operator), timeout=TIMEOUT
    )


async def refusal(
    server: ServerUnderTest, request: Any, credential: str | None = None
) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await act(server, request, credential)
    return raised.value


async def test_they_are_listed_in_pages(server: ServerUnderTest) -> None:
    first = await act(server, pb.ListPeriodicJobsRequest(page_size=2))
    rest = await act(
        server, pb.ListPeriodicJobsRequest(page_size=2, page_token=first.next_page_token)
    )
    assert [[job.name for job in page.periodic_jobs] for page in (first, rest)] == [
        ["a", "b"],
        ["c"],
    ]
    assert rest.next_page_token == ""
    job = first.periodic_jobs[0]
    assert (job.kind, job.cron, job.time_zone) == ("purge", "0 4 * * sun", "America/New_York")
    assert job.next_time.ToDatetime(UTC) == FAR
    assert not job.HasField("last_time")
    assert not job.HasField("pause_time")


async def test_one_is_paused_resumed_and_run(server: ServerUnderTest) -> None:
    paused = (await act(server, pb.PausePeriodicJobRequest(name="b"))).periodic_job
    assert paused.HasField("pause_time")
    resumed = (await act(server, pb.ResumePeriodicJobRequest(name="b"))).periodic_job
    assert not resumed.HasField("pause_time")
    assert resumed.next_time.ToDatetime(UTC) < FAR
    ran = await act(server, pb.RunPeriodicJobRequest(name="b", reason="now"))
    assert ran.periodic_job.last_queued_job_id == ran.queued_job_id
    assert (await server.get(ran.queued_job_id)).kind == "purge"


@pytest.mark.parametrize("method", ["Pause", "Resume", "Run"])
async def test_one_that_is_not_there(server: ServerUnderTest, method: str) -> None:
    request_class = getattr(pb, f"{method}PeriodicJobRequest")
    error = await refusal(server, request_class(name="nobody"))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert reason(status_of(error)) == "PERIODIC_JOB_NOT_FOUND"
    error = await refusal(server, request_class())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(status_of(error)) == ["name"]


async def test_a_page_token_that_is_none(server: ServerUnderTest) -> None:
    error = await refusal(server, pb.ListPeriodicJobsRequest(page_token="?"))
    assert fields(status_of(error)) == ["page_token"]


async def test_looking_needs_one_scope_and_stepping_in_another(server: ServerUnderTest) -> None:
    reader = server.server.credentials.add_operator("queue:read")
    assert (await act(server, pb.ListPeriodicJobsRequest(), reader)).periodic_jobs
    error = await refusal(server, pb.RunPeriodicJobRequest(name="a"), reader)
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED

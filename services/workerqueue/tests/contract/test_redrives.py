"""Dead letters are redriven over a real channel, by a running server."""

from functools import partial
from typing import Any
from uuid import UUID

import grpc
import pytest

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow.workerqueue.v1.redrive_pb2 import Redrive
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.polling import eventually
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

DISCARDED = Transition(
    JobState.DISCARDED, spends_attempt=True, error=CallStatus(StatusCode.INTERNAL, "no")
)


async def redrive(
    server: ServerUnderTest, environment_id: UUID | None = None, **request: Any
) -> pb.RedriveQueuedJobsResponse:
    return await server.stub.RedriveQueuedJobs(
        pb.RedriveQueuedJobsRequest(**request),
        metadata=bearer(server.operator, environment_id=environment_id),
        timeout=TIMEOUT,
    )


async def get(server: ServerUnderTest, id_: str, environment_id: UUID | None = None) -> Redrive:
    response = await server.stub.GetRedrive(
        pb.GetRedriveRequest(id=id_),
        metadata=bearer(server.operator, environment_id=environment_id),
        timeout=TIMEOUT,
    )
    return response.redrive


async def dead_letters(server: ServerUnderTest, count: int, **options: Any) -> list[str]:
    ids = [
        result.queued_job_id
        for result in await server.enqueue(*[command(**options) for _ in range(count)])
    ]
    for job_id in ids:
        await server.finish(job_id, DISCARDED)
    return ids


async def is_over(server: ServerUnderTest, id_: str) -> bool:
    return (await get(server, id_)).state == Redrive.STATE_SUCCEEDED


async def test_a_dry_run_tells_how_many_and_which_and_does_nothing(
    server: ServerUnderTest,
) -> None:
    ids = await dead_letters(server, 12)
    answer = await redrive(server, filter="kind = deliverEvent", validate_only=True)
    assert (answer.redrive.id, answer.redrive.total_count) == ("", 12)
    assert answer.redrive.jobs_per_second == 100
    assert [job.id for job in answer.sample] == ids[::-1][:10]
    assert not any(job.HasField("args") for job in answer.sample)
    assert (await redrive(server, filter="kind = other", validate_only=True)).sample == []
    assert (await server.get(ids[0])).state == QueuedJob.STATE_DISCARDED
    rows = await server.database.pool.execute("SELECT count(*) FROM workerqueue.redrives")
    assert rows[0][0] == 0


async def test_the_server_carries_it_out(server: ServerUnderTest) -> None:
    ids = await dead_letters(server, 3)
    answer = await redrive(server, jobs_per_second=2, reason="the target is well again")
    assert answer.redrive.total_count == 3
    assert answer.redrive.reason == "the target is well again"
    await eventually(partial(is_over, server, answer.redrive.id))
    ended = await get(server, answer.redrive.id)
    assert (ended.redriven_count, ended.skipped_count) == (3, 0)
    assert ended.HasField("end_time")
    for job_id in ids:
        job = await server.get(job_id)
        assert (job.state, job.attempt) == (QueuedJob.STATE_AVAILABLE, 0)


async def test_it_is_stopped(server: ServerUnderTest) -> None:
    await dead_letters(server, 4)
    begun = (await redrive(server, jobs_per_second=1)).redrive
    response = await server.stub.CancelRedrive(
        pb.CancelRedriveRequest(id=begun.id),
        metadata=bearer(server.operator),
        timeout=TIMEOUT,
    )
    assert response.redrive.state == Redrive.STATE_CANCELLED
    assert response.redrive.redriven_count < 4


async def test_an_operator_who_names_an_environment_redrives_only_there(
    server: ServerUnderTest,
) -> None:
    mine = server.server.credentials.add_environment().environment_id
    other = server.server.credentials.add_environment().environment_id
    [own] = await dead_letters(server, 1, environment_id=str(mine))
    [foreign] = await dead_letters(server, 1, environment_id=str(other))
    begun = (await redrive(server, mine)).redrive
    await eventually(partial(is_over, server, begun.id))
    assert (await server.get(own)).state == QueuedJob.STATE_AVAILABLE
    assert (await server.get(foreign)).state == QueuedJob.STATE_DISCARDED
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await get(server, begun.id, other)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert reason(status_of(raised.value)) == "REDRIVE_NOT_FOUND"


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"filter": "state = DISCARDED"}, "filter"),
        ({"filter": "tag < a"}, "filter"),
        ({"filter": "error_code = ODD"}, "filter"),
        ({"jobs_per_second": -1}, "jobs_per_second"),
        ({"jobs_per_second": 1_001}, "jobs_per_second"),
        ({"reason": "x" * 513}, "reason"),
    ],
)
@pytest.mark.parametrize("validate_only", [True, False])
async def test_a_bad_request_names_its_field(
    server: ServerUnderTest, request_fields: dict[str, Any], field: str, validate_only: bool
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await redrive(server, validate_only=validate_only, **request_fields)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(status_of(raised.value)) == [field]

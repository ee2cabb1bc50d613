"""What a service believes about who listens, over a real channel."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.rpc.consumed_types import ConsumedTypes
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.server import GrpcService
from kongflow_common.testing.grpc_server import InProcessServer, in_process_server
from kongflow_common.testing.polling import eventually

SUCCESS, FAILURE = "run.completed.success", "run.completed.failure"


class EnqueueServicer:
    """Says what it is told to, and counts how often it is asked."""

    def __init__(self) -> None:
        self.types = [SUCCESS]
        self.asked = 0
        self.away = False
        self.old = False

    async def EnqueueJobs(  # noqa: N802
        self, _request: pb.EnqueueJobsRequest, _context: object
    ) -> pb.EnqueueJobsResponse:
        return pb.EnqueueJobsResponse()

    async def GetConsumedTypes(  # noqa: N802
        self, _request: pb.GetConsumedTypesRequest, context: Any
    ) -> pb.GetConsumedTypesResponse:
        self.asked += 1
        if self.old:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "unheard of")
        if self.away:
            raise DependencyUnavailable("postgresql")
        return pb.GetConsumedTypesResponse(types=self.types)


class Now:
    """A monotonic clock that stands still."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def servicer() -> EnqueueServicer:
    return EnqueueServicer()


@pytest.fixture
async def queue(servicer: EnqueueServicer) -> AsyncIterator[InProcessServer]:
    service = GrpcService(pb.DESCRIPTOR.services_by_name["EnqueueService"], servicer)
    catalog = ErrorCatalog("workerqueue.kongflow", {})
    async with in_process_server(catalog=catalog, tasks_services=[service]) as queue:
        yield queue


async def test_one_question_answers_for_all_types_for_some_seconds(
    queue: InProcessServer, servicer: EnqueueServicer
) -> None:
    now = Now()
    interest = ConsumedTypes(queue.caller("runs"), now=now)
    for _ in range(20):
        assert await interest.wanted(SUCCESS)
        assert not await interest.wanted(FAILURE)
    assert servicer.asked == 1
    servicer.types = [FAILURE]
    now.seconds += 4.0
    assert await interest.wanted(FAILURE)
    assert not await interest.wanted(SUCCESS)
    assert servicer.asked == 2
    await interest.close()


async def test_an_answer_in_use_is_renewed_before_it_is_too_old(
    queue: InProcessServer, servicer: EnqueueServicer
) -> None:
    now = Now()
    interest = ConsumedTypes(queue.caller("runs"), now=now)
    assert not await interest.wanted(FAILURE)
    servicer.types = [FAILURE]
    now.seconds += 2.5
    assert not await interest.wanted(FAILURE)

    async def hears_of_it() -> bool:
        return await interest.wanted(FAILURE)

    await eventually(hears_of_it)
    await interest.close()


async def test_while_there_is_no_answer_all_is_wanted_and_nobody_waits(
    queue: InProcessServer, servicer: EnqueueServicer
) -> None:
    now = Now()
    interest = ConsumedTypes(queue.caller("runs"), now=now)
    servicer.away = True
    for _ in range(5):
        assert await interest.wanted(FAILURE)
    assert servicer.asked == 1
    servicer.away = False
    now.seconds += 1.0
    assert not await interest.wanted(FAILURE)
    await interest.close()


async def test_an_older_worker_queue_is_told_of_no_events(
    queue: InProcessServer, servicer: EnqueueServicer
) -> None:
    servicer.old = True
    interest = ConsumedTypes(queue.caller("runs"), now=Now())
    assert not await interest.wanted(SUCCESS)
    await interest.close()

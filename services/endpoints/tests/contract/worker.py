"""Calls the tasks as the worker queue does."""

from typing import TYPE_CHECKING
from uuid import UUID

from kongflow.endpoints.tasks.v1 import endpoints_tasks_service_pb2 as pb
from kongflow.endpoints.tasks.v1.endpoints_tasks_service_pb2_grpc import EndpointsTasksServiceStub
from kongflow.workerqueue.v1 import envelope_pb2
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.ids import new_id
from kongflow_common.rpc.envelope import Envelope
from kongflow_common.testing.grpc_server import InProcessServer, bearer

if TYPE_CHECKING:
    from kongflow.endpoints.tasks.v1.endpoints_tasks_service_pb2_grpc import (
        EndpointsTasksServiceAsyncStub,
    )


def tasks(server: InProcessServer) -> "EndpointsTasksServiceAsyncStub":
    return EndpointsTasksServiceStub(server.tasks_channel)


def single(server: InProcessServer, environment_id: UUID | None) -> tuple[tuple[str, str], ...]:
    """The metadata of a call for one queued job."""
    envelope = Envelope(new_id(), 1, 1, environment_id, "", None, "")
    return (*bearer(server.service_token()), *envelope.to_metadata())


async def perform(server: InProcessServer, scope: EnvironmentScope, index_id: str) -> None:
    await tasks(server).PerformEndpointIndexing(
        pb.PerformEndpointIndexingRequest(endpoint_index_id=index_id),
        metadata=single(server, scope.environment_id),
    )


async def register(
    server: InProcessServer, scope: EnvironmentScope, index_id: str, *item_ids: str
) -> list[int]:
    """Registers items in a batch; answers the code of each."""
    response = await tasks(server).BatchRegisterJobs(
        pb.BatchRegisterJobsRequest(
            requests=[
                pb.RegisterJobRequest(endpoint_index_id=index_id, item_id=item_id)
                for item_id in item_ids
            ],
            envelopes=[
                envelope_pb2.Envelope(
                    queued_job_id=str(new_id()),
                    attempt=1,
                    fencing_token=1,
                    environment_id=str(scope.environment_id),
                )
                for _ in item_ids
            ],
        ),
        metadata=bearer(server.service_token()),
    )
    return [result.status.code for result in response.results]

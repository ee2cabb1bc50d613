"""Answers the worker queue: what endpoints have done later, or by the clock."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from kongflow.endpoints.tasks.v1 import endpoints_tasks_service_pb2 as pb
from kongflow.workerqueue.v1 import envelope_pb2
from kongflow_common.db.purge import Purge
from kongflow_common.errors import InvalidField
from kongflow_common.rpc.envelope import Envelope, envelopes_of_batch
from kongflow_common.rpc.field_parsing import required_id
from kongflow_common.rpc.purge_call import purged_rows
from kongflow_common.rpc.task_results import TaskOutcome, job_results
from kongflow_endpoints.application.auto_index_production_endpoints import (
    AutoIndexProductionEndpoints,
)
from kongflow_endpoints.application.perform_endpoint_indexing import (
    FailEndpointIndex,
    PerformEndpointIndexing,
)
from kongflow_endpoints.application.probe_endpoint import ProbeEndpoint
from kongflow_endpoints.application.purge_old_indexings import PurgeOldIndexings
from kongflow_endpoints.application.register_job import (
    FailRegisterJob,
    RegisterItem,
    RegisterJobs,
)
from kongflow_endpoints.rpc.error_catalog import CATALOG

_LONGEST_REASON = 2_000


class _Metadata(Protocol):
    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]] | None: ...

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...], /) -> None: ...


@dataclass(frozen=True, slots=True)
class EndpointTasks:
    """What the worker queue may have done."""

    perform_endpoint_indexing: PerformEndpointIndexing
    fail_endpoint_index: FailEndpointIndex
    register_jobs: RegisterJobs
    fail_register_job: FailRegisterJob
    probe_endpoint: ProbeEndpoint
    auto_index_production_endpoints: AutoIndexProductionEndpoints
    purge_old_indexings: PurgeOldIndexings
    purge_environment: Purge


class EndpointsTasksServicer:
    """kongflow.endpoints.tasks.v1.EndpointsTasksService."""

    def __init__(self, tasks: EndpointTasks) -> None:
        self._do = tasks

    async def PerformEndpointIndexing(
        self, request: pb.PerformEndpointIndexingRequest, context: _Metadata
    ) -> pb.PerformEndpointIndexingResponse:
        """Performs an index."""
        await self._do.perform_endpoint_indexing(
            _environment_of_call(context),
            required_id(request.endpoint_index_id, "endpoint_index_id"),
        )
        return pb.PerformEndpointIndexingResponse()

    async def FailEndpointIndex(
        self, request: pb.FailEndpointIndexRequest, context: _Metadata
    ) -> pb.FailEndpointIndexResponse:
        """Ends an index that was given up."""
        await self._do.fail_endpoint_index(
            _environment_of_call(context),
            required_id(request.request.endpoint_index_id, "request.endpoint_index_id"),
            _reason(request.discard),
        )
        return pb.FailEndpointIndexResponse()

    async def RegisterJob(
        self, request: pb.RegisterJobRequest, context: _Metadata
    ) -> pb.RegisterJobResponse:
        """Registers the job of an item."""
        [outcome] = await self._do.register_jobs(_environment_of_call(context), [_item(request)])
        if outcome is not None:
            raise outcome
        return pb.RegisterJobResponse()

    async def BatchRegisterJobs(
        self, request: pb.BatchRegisterJobsRequest, _context: object
    ) -> pb.BatchRegisterJobsResponse:
        """Registers the jobs of many items."""
        outcomes: list[TaskOutcome] = [None] * len(request.requests)
        by_environment: defaultdict[UUID, list[tuple[int, RegisterItem]]] = defaultdict(list)
        envelopes = envelopes_of_batch(request.requests, request.envelopes)
        for place, (each, envelope) in enumerate(zip(request.requests, envelopes, strict=True)):
            try:
                by_environment[_environment(envelope)].append((place, _item(each)))
            except InvalidField as error:
                outcomes[place] = error
        for environment_id, group in by_environment.items():
            taken = await self._do.register_jobs(environment_id, [item for _, item in group])
            for (place, _), outcome in zip(group, taken, strict=True):
                outcomes[place] = outcome
        return pb.BatchRegisterJobsResponse(results=job_results(outcomes, CATALOG))

    async def FailRegisterJob(
        self, request: pb.FailRegisterJobRequest, context: _Metadata
    ) -> pb.FailRegisterJobResponse:
        """Ends an item that was given up."""
        await self._do.fail_register_job(
            _environment_of_call(context), _item(request.request), _reason(request.discard)
        )
        return pb.FailRegisterJobResponse()

    async def ProbeEndpoint(
        self, request: pb.ProbeEndpointRequest, context: _Metadata
    ) -> pb.ProbeEndpointResponse:
        """Measures an endpoint's limit."""
        await self._do.probe_endpoint(
            _environment_of_call(context), required_id(request.endpoint_id, "endpoint_id")
        )
        return pb.ProbeEndpointResponse()

    async def AutoIndexProductionEndpoints(
        self, _request: pb.AutoIndexProductionEndpointsRequest, _context: object
    ) -> pb.AutoIndexProductionEndpointsResponse:
        """Begins the indexes that are due."""
        begun = await self._do.auto_index_production_endpoints()
        return pb.AutoIndexProductionEndpointsResponse(begun=begun)

    async def PurgeOldIndexings(
        self, _request: pb.PurgeOldIndexingsRequest, _context: object
    ) -> pb.PurgeOldIndexingsResponse:
        """Deletes old indexes."""
        deleted = await self._do.purge_old_indexings()
        return pb.PurgeOldIndexingsResponse(deleted=deleted)

    async def PurgeEnvironment(
        self, request: pb.PurgeEnvironmentRequest, context: _Metadata
    ) -> pb.PurgeEnvironmentResponse:
        """Deletes the endpoints of an environment that is deleted."""
        deleted = await purged_rows(self._do.purge_environment, request.event.resource_id, context)
        return pb.PurgeEnvironmentResponse(deleted=deleted)


def _item(request: pb.RegisterJobRequest) -> RegisterItem:
    return RegisterItem(
        required_id(request.endpoint_index_id, "endpoint_index_id"),
        required_id(request.item_id, "item_id"),
    )


def _reason(discard: envelope_pb2.Discard) -> str:
    message = discard.status.message[:_LONGEST_REASON]
    return f"Given up after {discard.attempts} attempts: {message}"


def _environment_of_call(context: _Metadata) -> UUID:
    return _environment(Envelope.from_metadata(context.invocation_metadata()))


def _environment(envelope: Envelope) -> UUID:
    if envelope.environment_id is None:
        raise InvalidField(
            "kongflow-environment", "is required: an endpoint belongs to an environment"
        )
    return envelope.environment_id

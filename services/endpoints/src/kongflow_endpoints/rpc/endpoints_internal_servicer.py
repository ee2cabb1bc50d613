"""Answers the other services: calls programs on their behalf."""

from kongflow.endpoints.internal.v1 import endpoints_internal_service_pb2 as pb
from kongflow_common.rpc.field_parsing import required_id
from kongflow_endpoints.application.execute_job import ExecuteJob
from kongflow_endpoints.rpc import mapping


class EndpointsInternalServicer:
    """kongflow.endpoints.internal.v1.EndpointsInternalService."""

    def __init__(self, execute_job: ExecuteJob) -> None:
        self._execute_job = execute_job

    async def GetEndpointLimits(
        self, request: pb.GetEndpointLimitsRequest, _context: object
    ) -> pb.GetEndpointLimitsResponse:
        """Says what an endpoint can be asked to do."""
        endpoint = await self._execute_job.endpoint(
            required_id(request.environment_id, "environment_id"),
            required_id(request.endpoint_id, "endpoint_id"),
        )
        return mapping.limits(endpoint)

    async def ExecuteJob(
        self, request: pb.ExecuteJobRequest, _context: object
    ) -> pb.ExecuteJobResponse:
        """Has an endpoint execute a job."""
        execution = await self._execute_job(
            required_id(request.environment_id, "environment_id"),
            required_id(request.endpoint_id, "endpoint_id"),
            request.body,
            mapping.execution_timeout(request),
        )
        return mapping.execution(execution)

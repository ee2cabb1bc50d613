"""Calls users' programs through the endpoints service."""

from uuid import UUID

import grpc
from google.protobuf.duration_pb2 import Duration

from kongflow.endpoints.internal.v1 import endpoints_internal_service_pb2 as pb
from kongflow.endpoints.internal.v1.endpoints_internal_service_pb2_grpc import (
    EndpointsInternalServiceStub,
)
from kongflow_common.fresh_answers import FreshAnswers
from kongflow_common.rpc.channel import RemoteError, ServiceCaller
from kongflow_common.rpc.deadline import time_left
from kongflow_runs.domain.execution import (
    Answered,
    EndpointLimits,
    EndpointOutcome,
    Unreachable,
    WithoutUrl,
)

_TIMEOUT_SECONDS = 5.0
_ROAD_SECONDS = 5.0
"""What the road to the endpoints service and back may take beside the endpoint's own time."""

_Key = tuple[UUID, UUID]


class GrpcEndpoints:
    """The Endpoints over kongflow.endpoints.internal.v1."""

    def __init__(self, endpoints: ServiceCaller) -> None:
        self._endpoints = endpoints
        self._stub = EndpointsInternalServiceStub(endpoints.channel)
        self._limits: FreshAnswers[_Key, EndpointLimits] = FreshAnswers(
            self._ask_limits, what="an endpoint's limits"
        )

    async def close(self) -> None:
        """Ends what is being asked ahead of time."""
        await self._limits.close()

    async def limits(self, environment_id: UUID, endpoint_id: UUID) -> EndpointLimits | None:
        """The limits, at most some seconds old; see Endpoints.limits."""
        return await self._limits.get((environment_id, endpoint_id))

    async def _ask_limits(self, key: _Key) -> EndpointLimits | None:
        environment_id, endpoint_id = key
        try:
            limits = await self._endpoints.call(
                self._stub.GetEndpointLimits,
                pb.GetEndpointLimitsRequest(
                    environment_id=str(environment_id), endpoint_id=str(endpoint_id)
                ),
                timeout=_TIMEOUT_SECONDS,
            )
        except RemoteError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return EndpointLimits(
            has_url=limits.has_url,
            run_chunk_execution_ms=limits.run_chunk_execution_limit.ToMilliseconds(),
            start_task_threshold_ms=limits.start_task_threshold_ms,
            before_execute_task_threshold_ms=limits.before_execute_task_threshold_ms,
            before_complete_task_threshold_ms=limits.before_complete_task_threshold_ms,
            after_complete_task_threshold_ms=limits.after_complete_task_threshold_ms,
        )

    async def execute(
        self, environment_id: UUID, endpoint_id: UUID, body: bytes, *, timeout_ms: int
    ) -> EndpointOutcome:
        """What came of the call; see Endpoints.execute."""
        # What is left of the queued job's own time bounds it too.
        whole = time_left(timeout_ms / 1000 + _ROAD_SECONDS)
        timeout = Duration()
        timeout.FromMilliseconds(max(1, min(timeout_ms, int((whole - _ROAD_SECONDS) * 1000))))
        response = await self._endpoints.call(
            self._stub.ExecuteJob,
            pb.ExecuteJobRequest(
                environment_id=str(environment_id),
                endpoint_id=str(endpoint_id),
                body=body,
                timeout=timeout,
            ),
            timeout=whole,
        )
        return _outcome(response)


def _outcome(response: pb.ExecuteJobResponse) -> EndpointOutcome:
    duration_ms = response.duration.ToMilliseconds()
    kind = response.WhichOneof("outcome")
    if kind == "answer":
        answer = response.answer
        return Answered(
            status_code=answer.status_code,
            body=answer.body,
            url=response.url,
            duration_ms=duration_ms,
            timed_out=answer.timed_out,
        )
    if kind == "unreachable":
        unreachable = response.unreachable
        return Unreachable(
            message=unreachable.message,
            url=response.url,
            duration_ms=duration_ms,
            permanent=unreachable.permanent,
            timed_out=unreachable.timed_out,
        )
    return WithoutUrl(duration_ms)

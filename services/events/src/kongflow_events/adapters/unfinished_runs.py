"""Asks the runs service which events are still needed."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import grpc

from kongflow.runs.internal.v1 import runs_internal_service_pb2 as pb
from kongflow.runs.internal.v1.runs_internal_service_pb2_grpc import RunsInternalServiceStub
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.rpc.channel import RemoteError, ServiceCaller
from kongflow_common.rpc.deadline import time_left

__all__ = ["GrpcRunsOfEvents"]

# The service as such does not answer us.
_NOT_ANSWERING: Final = frozenset({grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED})


class GrpcRunsOfEvents:
    """Implements RunsOfEvents over kongflow.runs.internal.v1."""

    def __init__(self, runs: ServiceCaller, *, timeout_seconds: float) -> None:
        self._runs = runs
        self._stub = RunsInternalServiceStub(runs.channel)
        self._timeout_seconds = timeout_seconds

    async def unfinished(self, environment_id: UUID, record_ids: Sequence[UUID]) -> frozenset[UUID]:
        request = pb.ListUnfinishedEventsRequest(
            environment_id=str(environment_id), event_record_ids=map(str, record_ids)
        )
        try:
            response = await self._runs.call(
                self._stub.ListUnfinishedEvents, request, timeout=time_left(self._timeout_seconds)
            )
        except RemoteError as error:
            if error.code in _NOT_ANSWERING:
                raise DependencyUnavailable(self._runs.name) from error
            raise
        return frozenset(UUID(each) for each in response.event_record_ids)

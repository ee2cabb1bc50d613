"""Asks the runs service to cancel runs."""

from typing import Final
from uuid import UUID

import grpc

from kongflow.runs.internal.v1 import runs_internal_service_pb2 as pb
from kongflow.runs.internal.v1.runs_internal_service_pb2_grpc import RunsInternalServiceStub
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.rpc.channel import RemoteError, ServiceCaller
from kongflow_common.rpc.deadline import time_left
from kongflow_events.application.invocation_ports import CancelledRuns

__all__ = ["GrpcRunCanceller"]

# The service as such does not answer us.
_NOT_ANSWERING: Final = frozenset({grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED})


class GrpcRunCanceller:
    """Implements RunCanceller over kongflow.runs.internal.v1."""

    def __init__(self, runs: ServiceCaller, *, timeout_seconds: float) -> None:
        self._runs = runs
        self._stub = RunsInternalServiceStub(runs.channel)
        self._timeout_seconds = timeout_seconds

    async def cancel_runs(self, environment_id: UUID, event_record_id: UUID) -> CancelledRuns:
        request = pb.CancelRunsOfEventRequest(
            environment_id=str(environment_id), event_record_id=str(event_record_id)
        )
        try:
            response = await self._runs.call(
                self._stub.CancelRunsOfEvent, request, timeout=time_left(self._timeout_seconds)
            )
        except RemoteError as error:
            if error.code in _NOT_ANSWERING:
                raise DependencyUnavailable(self._runs.name) from error
            raise
        return CancelledRuns(
            cancelled=[UUID(run_id) for run_id in response.cancelled_run_ids],
            failed=[UUID(run_id) for run_id in response.failed_run_ids],
        )

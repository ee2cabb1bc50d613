"""Asks the runs service to create runs."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2

from kongflow.runs.internal.v1 import runs_internal_service_pb2 as pb
from kongflow.runs.internal.v1.runs_internal_service_pb2_grpc import RunsInternalServiceStub
from kongflow_common.errors import DependencyUnavailable, KongflowError
from kongflow_common.ids import id_text
from kongflow_common.rpc.channel import RemoteError, ServiceCaller
from kongflow_common.rpc.deadline import time_left
from kongflow_common.rpc.error_catalog import code_of
from kongflow_events.application.invocation_ports import NewRun
from kongflow_events.domain.errors import RunNotCreated, RunRefused

__all__ = ["GrpcRunCreator"]

# Codes that say: not now and not later, whoever asks again.
_FOR_GOOD: Final = frozenset(
    {code_pb2.INVALID_ARGUMENT, code_pb2.FAILED_PRECONDITION, code_pb2.OUT_OF_RANGE}
)
_AWAY: Final = frozenset({code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED})
# The service as such does not answer us; that spends no attempt of the jobs.
_NOT_ANSWERING: Final = frozenset({grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED})


class GrpcRunCreator:
    """Implements RunCreator over kongflow.runs.internal.v1, one call for all runs."""

    def __init__(self, runs: ServiceCaller, *, timeout_seconds: float) -> None:
        self._runs = runs
        self._stub = RunsInternalServiceStub(runs.channel)
        self._timeout_seconds = timeout_seconds

    async def create_runs(self, runs: Sequence[NewRun]) -> Sequence[UUID | KongflowError]:
        request = pb.BatchCreateRunsRequest(requests=[_request(run) for run in runs])
        try:
            response = await self._runs.call(
                self._stub.BatchCreateRuns, request, timeout=time_left(self._timeout_seconds)
            )
        except RemoteError as error:
            if error.code in _NOT_ANSWERING:
                raise DependencyUnavailable(self._runs.name) from error
            raise
        results = response.results
        if len(results) != len(runs):
            raise RuntimeError(f"asked for {len(runs)} runs, runs answered {len(results)}")
        return [self._result(result) for result in results]

    def _result(self, result: pb.CreateRunResult) -> UUID | KongflowError:
        status = result.status
        if status.code == code_pb2.OK:
            return UUID(result.run_id)
        if status.code in _AWAY:
            return DependencyUnavailable(self._runs.name)
        refusal = RunRefused if status.code in _FOR_GOOD else RunNotCreated
        code = code_of(status).name
        return refusal(f"runs answered {code}: {status.message}", code=code, reason=_reason(status))


def _request(run: NewRun) -> pb.CreateRunRequest:
    event = run.event
    request = pb.CreateRunRequest(
        environment_id=id_text(event.tenancy.environment_id),
        project_id=id_text(event.tenancy.project_id),
        organization_id=id_text(event.tenancy.organization_id),
        event_record_id=id_text(event.id),
        dispatcher_id=id_text(run.dispatcher_id),
        job_id=id_text(run.job_id),
        test=event.is_test,
        internal=event.internal,
        traceparent=run.traceparent,
    )
    if run.version is not None:
        request.version = run.version
    elif run.alias is not None:
        request.alias = run.alias
    if run.version_id is not None:
        request.version_id = id_text(run.version_id)
    if event.external_account_id is not None:
        request.external_account_id = id_text(event.external_account_id)
    return request


def _reason(status: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return info.reason
    return ""

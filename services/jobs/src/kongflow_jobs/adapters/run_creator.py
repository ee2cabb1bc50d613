"""Asks the runs service to create runs that no dispatcher starts."""

from uuid import UUID

from kongflow.runs.internal.v1 import runs_internal_service_pb2 as pb
from kongflow.runs.internal.v1.runs_internal_service_pb2_grpc import RunsInternalServiceStub
from kongflow_common.rpc.channel import ServiceCaller
from kongflow_common.rpc.deadline import time_left
from kongflow_jobs.application.ports import NewRun

_TIMEOUT_SECONDS = 5.0


class GrpcRunCreator:
    """The RunCreator over kongflow.runs.internal.v1."""

    def __init__(self, runs: ServiceCaller) -> None:
        self._runs = runs
        self._stub = RunsInternalServiceStub(runs.channel)

    async def create(self, run: NewRun) -> UUID:
        """Creates a run, or finds that of its event record; see RunCreator.create."""
        account = run.event.external_account_id
        response = await self._runs.call(
            self._stub.CreateRun,
            pb.CreateRunRequest(
                environment_id=str(run.place.environment_id),
                project_id=str(run.place.project_id),
                organization_id=str(run.place.organization_id),
                event_record_id=str(run.event.record_id),
                job_id=str(run.job_id),
                version=run.version,
                version_id=str(run.version_id),
                external_account_id=str(account) if account else "",
                test=run.is_test,
                # One run per event record, whoever asks for it and however often.
                request_id=f"event:{run.event.record_id}",
            ),
            timeout=time_left(_TIMEOUT_SECONDS),
        )
        return UUID(response.run_id)

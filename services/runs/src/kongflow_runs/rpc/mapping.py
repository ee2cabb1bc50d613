"""Between the messages of runs and its domain."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.runs.internal.v1 import runs_internal_service_pb2 as internal_pb
from kongflow.runs.v1 import run_pb2
from kongflow_common.ids import new_id
from kongflow_common.rpc.field_parsing import (
    optional_id,
    required_id,
    required_one_of,
    required_text,
)
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_common.tracing import current_traceparent
from kongflow_runs.domain.run import NewRun, Run, RunState, VersionSelector

_STATES = {state: run_pb2.Run.State.Value(f"STATE_{state.name}") for state in RunState}


def new_run(request: internal_pb.CreateRunRequest) -> NewRun:
    """The run that is asked for; raises InvalidField."""
    return NewRun(
        id=new_id(),
        environment_id=required_id(request.environment_id, "environment_id"),
        project_id=required_id(request.project_id, "project_id"),
        organization_id=required_id(request.organization_id, "organization_id"),
        event_record_id=required_id(request.event_record_id, "event_record_id"),
        dispatcher_id=required_id(request.dispatcher_id, "dispatcher_id"),
        job_id=required_id(request.job_id, "job_id"),
        selector=_selector(request),
        external_account_id=optional_id(request.external_account_id, "external_account_id"),
        is_test=request.test,
        internal=request.internal,
        traceparent=request.traceparent or current_traceparent(),
    )


def _selector(request: internal_pb.CreateRunRequest) -> VersionSelector:
    if required_one_of(request, "selector") == "alias":
        return VersionSelector(alias=required_text(request.alias, "alias"), version=None)
    return VersionSelector(alias=None, version=required_text(request.version, "version"))


def run(value: Run) -> run_pb2.Run:
    """A run as clients see it."""
    return run_pb2.Run(
        id=str(value.id),
        number=value.number or 0,
        state=_STATES[value.state],
        job_id=str(value.job_id),
        version_alias=value.selector.alias or "",
        version=value.selector.version or "",
        event_record_id=str(value.event_record_id),
        dispatcher_id=str(value.dispatcher_id) if value.dispatcher_id else "",
        test=value.is_test,
        create_time=to_timestamp(value.created_at),
        queue_time=_optional_time(value.queued_at),
        start_time=_optional_time(value.started_at),
        complete_time=_optional_time(value.completed_at),
        update_time=to_timestamp(value.updated_at),
    )


def _optional_time(time: datetime | None) -> Timestamp | None:
    return None if time is None else to_timestamp(time)

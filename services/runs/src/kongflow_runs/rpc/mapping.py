"""Between the messages of runs and its domain."""

from datetime import datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.runs.internal.v1 import runs_internal_service_pb2 as internal_pb
from kongflow.runs.v1 import run_pb2
from kongflow_common.errors import InvalidField
from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.field_parsing import (
    optional_id,
    optional_text,
    required_id,
    required_one_of,
    required_text,
    shared_id,
)
from kongflow_common.rpc.payload_mapping import to_payload
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_common.tracing import current_traceparent
from kongflow_runs.domain.run import NewRun, Run, RunState, VersionSelector

_MAX_REQUEST_ID = 600
_LONGEST_VALUE = 65_536

_STATES = {state: run_pb2.Run.State.Value(f"STATE_{state.name}") for state in RunState}


def new_run(request: internal_pb.CreateRunRequest) -> NewRun:
    """The run that is asked for; raises InvalidField."""
    dispatcher_id = (
        shared_id(request.dispatcher_id, "dispatcher_id") if request.dispatcher_id else None
    )
    request_id = optional_text(request.request_id, "request_id", max_length=_MAX_REQUEST_ID)
    if dispatcher_id is None and request_id is None:
        raise InvalidField("request_id", "is required for a run that no dispatcher starts")
    if dispatcher_id is not None and request_id is not None:
        raise InvalidField("request_id", "is only for runs that no dispatcher starts")
    return NewRun(
        id=new_id(),
        environment_id=shared_id(request.environment_id, "environment_id"),
        project_id=shared_id(request.project_id, "project_id"),
        organization_id=shared_id(request.organization_id, "organization_id"),
        event_record_id=required_id(request.event_record_id, "event_record_id"),
        dispatcher_id=dispatcher_id,
        job_id=shared_id(request.job_id, "job_id"),
        selector=_selector(request),
        external_account_id=optional_id(request.external_account_id, "external_account_id"),
        is_test=request.test,
        internal=request.internal,
        traceparent=request.traceparent or current_traceparent(),
        version_id=optional_id(request.version_id, "version_id"),
        request_id=request_id,
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
        job_slug=value.job_slug or "",
        version_id=str(value.version_id) if value.version_id else "",
        endpoint_id=str(value.endpoint_id) if value.endpoint_id else "",
        internal=value.internal,
        output=_output(value.output),
        error_message=value.error or "",
        execution_count=value.execution_count,
        execution_failure_count=value.execution_failure_count,
        execution_duration=_duration(value.execution_duration_ms),
    )


def _output(document: JsonDocument | None) -> Payload | None:
    if document is None:
        return None
    # A value is several times as large as its text; a whole answer must stay within its limit.
    if len(document.text) > _LONGEST_VALUE:
        return Payload(json=document.text)
    return to_payload(document)


def _duration(milliseconds: int) -> Duration | None:
    if not milliseconds:
        return None
    duration = Duration()
    duration.FromMilliseconds(milliseconds)
    return duration


def _optional_time(time: datetime | None) -> Timestamp | None:
    return None if time is None else to_timestamp(time)

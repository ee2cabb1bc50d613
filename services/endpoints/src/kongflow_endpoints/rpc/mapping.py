"""Between the messages of endpoints and its domain."""

from datetime import timedelta
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Value

from kongflow.endpoints.internal.v1 import endpoints_internal_service_pb2 as internal_pb
from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as pb
from kongflow_common.auth.principals import CallerKind, EnvironmentScope, Principal
from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.field_parsing import (
    optional_enum,
    optional_text,
    required_id,
    required_one_of,
    required_text,
)
from kongflow_common.rpc.payload_mapping import from_payload, to_payload
from kongflow_common.rpc.timestamps import to_duration, to_timestamp
from kongflow_endpoints.application.execute_job import Execution
from kongflow_endpoints.application.ports import Called, EndpointKey, NewIndex
from kongflow_endpoints.domain.endpoint import (
    LONGEST_CHUNK_MS,
    SHORTEST_CHUNK_MS,
    Endpoint,
    EndpointIndex,
    IndexFailure,
    IndexItem,
    IndexSource,
    IndexStatus,
    ItemKind,
    Outcome,
    Place,
    Statistics,
)

_LONGEST_EXECUTION = timedelta(seconds=300)
_MILLISECOND = timedelta(milliseconds=1)

_STATES = {
    status: endpoint_pb2.EndpointIndex.State.Value(f"STATE_{status.name}") for status in IndexStatus
}
_SOURCES = {
    source: endpoint_pb2.EndpointIndex.Source.Value(f"SOURCE_{source.name}")
    for source in IndexSource
}
_SOURCES_FROM_PROTO: dict[int, IndexSource] = {value: source for source, value in _SOURCES.items()}
_FOR_SERVICES = frozenset({IndexSource.INTERNAL, IndexSource.HOOK})
_KINDS = {kind: endpoint_pb2.EndpointIndexItem.Kind.Value(f"KIND_{kind.name}") for kind in ItemKind}
_OUTCOMES = {
    outcome: endpoint_pb2.EndpointIndexItem.Outcome.Value(f"OUTCOME_{outcome.name}")
    for outcome in Outcome
}


def place_of(scope: EnvironmentScope) -> Place:
    """The place of the caller."""
    return Place(scope.environment_id, scope.project_id, scope.organization_id)


def endpoint_key(request: pb.GetEndpointRequest | pb.IndexEndpointRequest) -> EndpointKey:
    """The id or slug that is asked for; raises InvalidField."""
    if required_one_of(request, "key") == "id":
        return required_id(request.id, "id")
    return required_text(request.slug, "slug")


def new_index(request: pb.IndexEndpointRequest, principal: Principal) -> NewIndex:
    """The index that is asked for; raises InvalidField."""
    source = optional_enum(request.source, "source", _SOURCES_FROM_PROTO) or IndexSource.API
    if source in _FOR_SERVICES and principal.kind is not CallerKind.SERVICE:
        raise InvalidField("source", "is for services only")
    data = from_payload(request.data, "data") if request.HasField("data") else None
    return NewIndex(source, optional_text(request.reason, "reason"), data)


def chunk_limit(duration: Duration, field: str) -> int:
    """How long an execution may take, in milliseconds; raises InvalidField."""
    milliseconds = duration.ToMilliseconds()
    low, high = SHORTEST_CHUNK_MS, LONGEST_CHUNK_MS
    if not low <= milliseconds <= high:
        raise InvalidField(field, f"must be between {low // 1000} and {high // 1000} seconds")
    return milliseconds


def execution_timeout(request: internal_pb.ExecuteJobRequest) -> timedelta:
    """How long to wait for an answer; raises InvalidField."""
    timeout = request.timeout.ToTimedelta()
    if not timedelta() < timeout <= _LONGEST_EXECUTION:
        raise InvalidField("timeout", "must be between 0 and 300 seconds")
    return timeout


def endpoint(value: Endpoint) -> endpoint_pb2.Endpoint:
    """An endpoint as clients see it."""
    return endpoint_pb2.Endpoint(
        id=str(value.id),
        slug=value.slug,
        url=value.url or "",
        indexing_hook_identifier=value.indexing_hook_identifier,
        version=value.version,
        sdk_version=value.sdk_version,
        run_chunk_execution_limit=_milliseconds(value.run_chunk_execution_limit),
        create_time=to_timestamp(value.created_at),
        update_time=to_timestamp(value.updated_at),
    )


def index(value: EndpointIndex) -> endpoint_pb2.EndpointIndex:
    """An index as clients see it."""
    return endpoint_pb2.EndpointIndex(
        id=str(value.id),
        endpoint_id=str(value.endpoint_id),
        state=_STATES[value.status],
        source=_SOURCES[value.source],
        reason=value.reason or "",
        data=None if value.data is None else to_payload(value.data),
        statistics=None if value.statistics is None else _statistics(value.statistics),
        error=None if value.error is None else _failure(value.error),
        failed_items=map(item, value.failed_items),
        create_time=to_timestamp(value.created_at),
        update_time=to_timestamp(value.updated_at),
    )


def item(value: IndexItem) -> endpoint_pb2.EndpointIndexItem:
    """An item as clients see it."""
    return endpoint_pb2.EndpointIndexItem(
        id=str(value.id),
        kind=_KINDS[value.kind],
        key=value.key,
        version=value.version or "",
        outcome=_OUTCOMES[value.outcome],
        error_message=value.error or "",
        warnings=value.warnings,
        metadata=None if value.metadata is None else to_payload(value.metadata),
    )


def limits(value: Endpoint) -> internal_pb.GetEndpointLimitsResponse:
    """What an endpoint can be asked to do, as services see it."""
    return internal_pb.GetEndpointLimitsResponse(
        has_url=value.url is not None,
        version=value.version,
        run_chunk_execution_limit=_milliseconds(value.run_chunk_execution_limit),
        start_task_threshold_ms=value.start_task_threshold,
        before_execute_task_threshold_ms=value.before_execute_task_threshold,
        before_complete_task_threshold_ms=value.before_complete_task_threshold,
        after_complete_task_threshold_ms=value.after_complete_task_threshold,
    )


def execution(value: Execution) -> internal_pb.ExecuteJobResponse:
    """What came of an execution, as services see it."""
    outcome = value.outcome
    if outcome is None:
        return internal_pb.ExecuteJobResponse(without_url=internal_pb.EndpointWithoutUrl())
    response = internal_pb.ExecuteJobResponse(duration=to_duration(outcome.duration), url=value.url)
    if isinstance(outcome, Called):
        response.answer.CopyFrom(
            internal_pb.EndpointAnswer(
                status_code=outcome.status_code,
                body=outcome.body,
                run_metadata=outcome.run_metadata,
                timed_out=outcome.timed_out,
            )
        )
    else:
        response.unreachable.CopyFrom(
            internal_pb.EndpointUnreachable(
                message=outcome.message,
                permanent=outcome.permanent,
                timed_out=outcome.timed_out,
            )
        )
    return response


def _statistics(value: Statistics) -> endpoint_pb2.IndexStatistics:
    return endpoint_pb2.IndexStatistics(
        jobs=value.jobs,
        sources=value.sources,
        webhooks=value.webhooks,
        dynamic_triggers=value.dynamic_triggers,
        dynamic_schedules=value.dynamic_schedules,
        disabled_jobs=value.disabled_jobs,
        http_endpoints=value.http_endpoints,
        failed=value.failed,
        deferred=value.deferred,
    )


def _failure(value: IndexFailure) -> endpoint_pb2.IndexError:
    return endpoint_pb2.IndexError(
        message=value.message, raw=None if value.raw is None else _value(value.raw)
    )


def _value(document: JsonDocument) -> Value:
    return to_payload(document).value


def _milliseconds(milliseconds: int) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(milliseconds)
    return duration


def index_id(text: str) -> UUID:
    """The id of an index; raises InvalidField."""
    return required_id(text, "endpoint_index_id")

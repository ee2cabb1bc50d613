"""Dispatchers between the wire and the program."""

from collections.abc import Mapping
from typing import Final

from kongflow.events.internal.v1 import events_internal_service_pb2
from kongflow.events.v1 import event_dispatcher_pb2, events_service_pb2
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.errors import InvalidField
from kongflow_common.filtering import FieldType, FilterField
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.field_parsing import (
    bounded_int,
    optional_enum,
    optional_text,
    required_id,
    required_message,
    required_one_of,
    required_text,
    texts,
)
from kongflow_common.rpc.payload_mapping import from_payload
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_events.application.ports import EventKey
from kongflow_events.application.upsert_event_dispatcher import DispatcherCommand
from kongflow_events.domain.dispatchable import (
    LATEST,
    Dispatchable,
    JobVersion,
    UnparsableDispatchable,
    parse_dispatchable,
    write_dispatchable,
)
from kongflow_events.domain.event_dispatcher import DispatcherSpecification, EventDispatcher
from kongflow_events.domain.event_names import NameMatch
from kongflow_events.domain.event_record import DEFAULT_SOURCE, Tenancy
from kongflow_events.rpc.event_mapping import to_bounded_payload, to_tenancy

__all__ = [
    "DISPATCHER_FILTER_FIELDS",
    "to_dispatcher",
    "to_dispatcher_command",
    "to_dispatcher_key",
    "to_put_command",
]

DISPATCHER_FILTER_FIELDS: Final = (
    FilterField("dispatchable_id", FieldType.TEXT),
    FilterField("source", FieldType.TEXT),
    FilterField("enabled", FieldType.BOOLEAN),
    FilterField("manual", FieldType.BOOLEAN),
    FilterField("create_time", FieldType.TIME),
)

_MAX_EVENT_NAMES: Final = 100
# Leaves room for all the changes that follow without a generation of their own.
_MAX_GENERATION: Final = 2**62

_Dispatcher = event_dispatcher_pb2.EventDispatcher
_NAME_MATCHES: Final[Mapping[int, NameMatch]] = {
    _Dispatcher.NAME_MATCH_EXACT: NameMatch.EXACT,
    _Dispatcher.NAME_MATCH_WILDCARD: NameMatch.WILDCARD,
}
_NAME_MATCHES_TO_PROTO: Final = {
    NameMatch.EXACT: _Dispatcher.NAME_MATCH_EXACT,
    NameMatch.WILDCARD: _Dispatcher.NAME_MATCH_WILDCARD,
}


def to_dispatcher_command(
    request: events_service_pb2.UpsertEventDispatcherRequest, scope: EnvironmentScope
) -> DispatcherCommand:
    """Read what a dispatcher is to hold. Raises InvalidField."""
    required_message(request, "event_dispatcher")
    return _command(
        request.event_dispatcher,
        to_tenancy(scope),
        enabled=request.enabled if request.HasField("enabled") else True,
        generation=request.generation if request.HasField("generation") else None,
        by_keeper=False,
    )


def to_put_command(
    request: events_internal_service_pb2.PutEventDispatcherRequest, tenancy: Tenancy
) -> DispatcherCommand:
    """The same for a dispatcher that another service keeps. Raises InvalidField."""
    required_message(request, "event_dispatcher")
    return _command(
        request.event_dispatcher,
        tenancy,
        enabled=request.enabled,
        generation=request.generation,
        by_keeper=True,
    )


def _command(
    dispatcher: _Dispatcher,
    tenancy: Tenancy,
    *,
    enabled: bool,
    generation: int | None,
    by_keeper: bool,
) -> DispatcherCommand:
    names = texts(
        dispatcher.event_names,
        "event_dispatcher.event_names",
        max_items=_MAX_EVENT_NAMES,
        required=True,
    )
    return DispatcherCommand(
        tenancy=tenancy,
        dispatchable_id=required_text(
            dispatcher.dispatchable_id, "event_dispatcher.dispatchable_id"
        ),
        specification=DispatcherSpecification(
            # Each once: a name that is written twice says no more.
            event_names=tuple(dict.fromkeys(names)),
            source=optional_text(dispatcher.source, "event_dispatcher.source") or DEFAULT_SOURCE,
            payload_filter=_filter(dispatcher, "payload_filter"),
            context_filter=_filter(dispatcher, "context_filter"),
            manual=dispatcher.manual,
            enabled=enabled,
            dispatchable=write_dispatchable(_dispatchable(dispatcher, by_keeper=by_keeper)),
            name_match=optional_enum(
                dispatcher.name_match, "event_dispatcher.name_match", _NAME_MATCHES
            )
            or NameMatch.EXACT,
        ),
        account_id=optional_text(dispatcher.account_id, "event_dispatcher.account_id"),
        generation=(
            None
            if generation is None
            else bounded_int(generation, "generation", at_least=1, at_most=_MAX_GENERATION)
        ),
        by_keeper=by_keeper,
    )


def _filter(dispatcher: _Dispatcher, name: str) -> JsonDocument | None:
    if name == "payload_filter":
        payload, given = dispatcher.payload_filter, dispatcher.HasField("payload_filter")
    else:
        payload, given = dispatcher.context_filter, dispatcher.HasField("context_filter")
    return from_payload(payload, f"event_dispatcher.{name}") if given else None


def _dispatchable(dispatcher: _Dispatcher, *, by_keeper: bool) -> Dispatchable:
    field = "event_dispatcher.dispatchable"
    if dispatcher.dispatchable.WhichOneof("kind") is None:
        raise InvalidField(field, "is required: job_version")
    job_version = dispatcher.dispatchable.job_version
    field = f"{field}.job_version"
    job_id = required_id(job_version.job_id, f"{field}.job_id")
    version_id = None
    if by_keeper:
        version_id = required_id(job_version.version_id, f"{field}.version_id")
    selector = job_version.WhichOneof("selector")
    if selector == "version":
        version = required_text(job_version.version, f"{field}.version")
        return JobVersion(job_id, None, version, version_id)
    alias = LATEST
    if selector == "alias":
        alias = required_text(job_version.alias, f"{field}.alias")
    return JobVersion(job_id, alias, version_id=version_id)


def to_dispatcher_key(request: events_service_pb2.GetEventDispatcherRequest) -> EventKey:
    """Which dispatcher a request is about. Raises InvalidField."""
    if required_one_of(request, "key") == "id":
        return required_id(request.id, "id")
    return required_text(request.dispatchable_id, "dispatchable_id")


def to_dispatcher(dispatcher: EventDispatcher) -> _Dispatcher:
    """Write a dispatcher; without its dispatchable if that is of a kind this version lacks."""
    specification = dispatcher.specification
    message = _Dispatcher(
        id=str(dispatcher.id),
        dispatchable_id=dispatcher.dispatchable_id,
        event_names=specification.event_names,
        source=specification.source,
        name_match=_NAME_MATCHES_TO_PROTO[specification.name_match],
        manual=specification.manual,
        enabled=specification.enabled,
        account_id=dispatcher.account_id or "",
        generation=dispatcher.generation,
        create_time=to_timestamp(dispatcher.created_at),
        update_time=to_timestamp(dispatcher.updated_at),
    )
    if specification.payload_filter is not None:
        message.payload_filter.CopyFrom(to_bounded_payload(specification.payload_filter))
    if specification.context_filter is not None:
        message.context_filter.CopyFrom(to_bounded_payload(specification.context_filter))
    try:
        dispatchable = parse_dispatchable(specification.dispatchable)
    except UnparsableDispatchable:
        return message
    message.dispatchable.job_version.job_id = str(dispatchable.job_id)
    if dispatchable.version_id is not None:
        message.dispatchable.job_version.version_id = str(dispatchable.version_id)
    if dispatchable.version is not None:
        message.dispatchable.job_version.version = dispatchable.version
    else:
        message.dispatchable.job_version.alias = dispatchable.alias or LATEST
    return message

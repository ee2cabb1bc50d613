"""Resource events between the wire and the program."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson
from google.protobuf.message import Message

from kongflow.events.v1 import resource_event_pb2, resource_events_service_pb2
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.errors import InvalidField
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import MAX_RESOURCE_ID_LENGTH, PublishedEvent
from kongflow_common.eventing.event_type import InvalidEventType, Layer, check_type_name
from kongflow_common.rpc.field_parsing import optional_text, required_id, required_text, texts
from kongflow_common.rpc.timestamps import from_timestamp, to_timestamp
from kongflow_events.application.replay_resource_event import ReplayResourceEventCommand
from kongflow_events.application.resource_events import EventPlace, ResourceSelection
from kongflow_events.domain.log_position import LogSelection

__all__ = ["to_log_selection", "to_replay", "to_resource_event", "to_resource_selection"]

_Event = resource_event_pb2.ResourceEvent
_MAX_TYPES: Final = 50
_MAX_REQUEST_ID_LENGTH: Final = 128

_LAYERS: Final[Mapping[Layer, _Event.Layer.ValueType]] = {
    Layer.DOMAIN: _Event.LAYER_DOMAIN,
    Layer.INTEGRATION: _Event.LAYER_INTEGRATION,
    Layer.REALTIME: _Event.LAYER_REALTIME,
}


def to_resource_selection(
    request: resource_events_service_pb2.ListResourceEventsRequest,
    scope: EnvironmentScope,
    *,
    after: EventPlace | None,
    limit: int,
) -> ResourceSelection:
    """Read what a list is to show. Raises InvalidField."""
    return ResourceSelection(
        scope_ids=_scopes(scope),
        resource_id=required_text(
            request.resource_id, "resource_id", max_length=MAX_RESOURCE_ID_LENGTH
        ),
        start=_time(request, "start_time"),
        end=_time(request, "end_time"),
        after=after,
        limit=limit,
    )


def to_log_selection(
    request: resource_events_service_pb2.WatchEventsRequest, scope: EnvironmentScope
) -> LogSelection:
    """Read what is watched. Raises InvalidField."""
    types = texts(request.types, "types", max_items=_MAX_TYPES)
    for index, name in enumerate(types):
        try:
            check_type_name(name)
        except InvalidEventType as error:
            raise InvalidField(f"types[{index}]", str(error)) from None
    return LogSelection(
        scope_ids=_scopes(scope),
        resource_id=optional_text(
            request.resource_id, "resource_id", max_length=MAX_RESOURCE_ID_LENGTH
        ),
        types=types,
    )


def to_replay(
    request: resource_events_service_pb2.ReplayResourceEventRequest, scope: EnvironmentScope
) -> ReplayResourceEventCommand:
    """Read which event is to be published once more. Raises InvalidField."""
    return ReplayResourceEventCommand(
        environment_id=scope.environment_id,
        scope_ids=_scopes(scope),
        event_id=required_id(request.id, "id"),
        resource_id=optional_text(
            request.resource_id, "resource_id", max_length=MAX_RESOURCE_ID_LENGTH
        ),
        request_id=optional_text(
            request.request_id, "request_id", max_length=_MAX_REQUEST_ID_LENGTH
        ),
    )


def to_resource_event(event: PublishedEvent) -> _Event:
    """Write an event, its data as the newest version of its type has them."""
    type_ = DECLARED_TYPES.get(event.type)
    version, data = event.version, event.data
    if type_ is not None and version < type_.version:
        version, newest = DECLARED_TYPES.newest(event.type, version, orjson.loads(data))
        data = orjson.dumps(newest)
    belonging = event.belonging
    message = _Event(
        id=str(event.id),
        type=event.type,
        version=version,
        time=to_timestamp(event.timestamp),
        resource_id=event.resource_id,
        user_id=event.user_id,
        layer=_LAYERS[type_.layer] if type_ is not None else _Event.LAYER_UNSPECIFIED,
        environment_id=str(belonging.environment_id or ""),
        project_id=str(belonging.project_id or ""),
        replay_of=str(event.replay_of or ""),
    )
    message.data.json = data
    return message


def _scopes(scope: EnvironmentScope) -> tuple[UUID, ...]:
    return scope.environment_id, scope.project_id, scope.organization_id


def _time(request: Message, field: str) -> datetime | None:
    if not request.HasField(field):
        return None
    return from_timestamp(getattr(request, field), field)

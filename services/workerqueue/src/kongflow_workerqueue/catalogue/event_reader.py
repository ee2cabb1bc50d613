"""Reads what services publish and what methods consume out of their descriptors."""

from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

# Options that are read before this module is imported come out empty, silently.
from kongflow.events.v1 import integration_event_pb2
from kongflow_common.eventing.event_type import check_type_name, domain_of
from kongflow_common.settings import Misconfigured
from kongflow_workerqueue.catalogue.request_parser import RequestParser

__all__ = [
    "InvalidEvents",
    "Publication",
    "check_consumer",
    "consumed_types",
    "event_parser",
    "publications",
]

_DESCRIPTOR = integration_event_pb2.IntegrationEvent.DESCRIPTOR
_EVENT = _DESCRIPTOR.full_name


class InvalidEvents(Misconfigured):
    """What is published or consumed is declared in a way that does not work."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A type of event, and the target whose service publishes it."""

    type: str
    target: str

    @property
    def domain(self) -> str:
        """All types of which are of one service."""
        return domain_of(self.type)


def publications(file: FileDescriptorProto, target: str) -> list[Publication]:
    """Reads what the services of a file publish. Raises InvalidEvents for a malformed name."""
    return [
        Publication(name, target)
        for service in file.service
        for name in _published_types(service, file.package)
    ]


def _published_types(service: ServiceDescriptorProto, package: str) -> list[str]:
    options = service.options
    if not options.HasExtension(integration_event_pb2.publishes):
        return []
    names = options.Extensions[integration_event_pb2.publishes].types
    try:
        return [check_type_name(name) for name in names]
    except ValueError as error:
        raise InvalidEvents(f"{package}.{service.name} publishes: {error}") from None


def consumed_types(method: MethodDescriptorProto) -> tuple[str, ...]:
    """Reads what a method consumes; nothing for most. Raises ValueError."""
    options = method.options
    if not options.HasExtension(integration_event_pb2.consumes):
        return ()
    names = options.Extensions[integration_event_pb2.consumes].types
    if not names:
        raise InvalidEvents("consumes no type.")
    types = tuple(check_type_name(name) for name in names)
    if len(set(types)) < len(types):
        raise InvalidEvents("consumes a type twice.")
    return types


def check_consumer(method: MethodDescriptor) -> None:
    """Raises InvalidEvents unless the request of a consuming method holds an event and no more."""
    fields = method.input_type.fields
    event = fields[0].message_type if len(fields) == 1 and not fields[0].is_repeated else None
    if (
        event is None
        or event.full_name != _EVENT
        or (fields[0].name, fields[0].number) != ("event", 1)
    ):
        raise InvalidEvents(f"the request of a consumer must hold exactly {_EVENT} event = 1.")
    # An event that one subscriber could not read would be refused for all of them.
    for field in _DESCRIPTOR.fields:
        other = event.fields_by_number.get(field.number)
        if other is not None and (other.name, other.type) != (field.name, field.type):
            raise InvalidEvents(f"{_EVENT}.{field.name} is another field in the target's copy.")


def event_parser() -> RequestParser:
    """Returns what reads an event as it is published."""
    return RequestParser(_DESCRIPTOR, _DESCRIPTOR.file.pool)

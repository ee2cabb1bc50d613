"""The types of events: declared once, with a layer, a version and what their data says."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from kongflow_common.errors import InvalidField
from kongflow_common.eventing.typed_data import EventData, FieldOfData, TypedData

__all__ = [
    "EventData",
    "EventType",
    "InvalidEventType",
    "Layer",
    "Scope",
    "Upcast",
    "check_type_name",
    "domain_of",
]

MAX_NAME_LENGTH = 128
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,2}")

Upcast = Callable[[EventData], EventData]
"""Makes the data of a version from that of the version before."""


class InvalidEventType(ValueError):
    """A type's name is not `<domain>.<action>.<status>`, or its version is none."""


class Layer(Enum):
    """How an event reaches those who want it."""

    DOMAIN = "domain"
    """In the process that publishes it, before its transaction is committed."""
    INTEGRATION = "integration"
    """Durably, as a queued job of each method that consumes it."""
    REALTIME = "realtime"
    """To whoever is watching at this moment."""


class Scope(Enum):
    """What the resource of an event belongs to, which says who sees the event."""

    ENVIRONMENT = "environment"
    PROJECT = "project"
    ORGANIZATION = "organization"


def check_type_name(name: str) -> str:
    """Return the name. Raises InvalidEventType unless it has two or three lower-case parts."""
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name):
        raise InvalidEventType(
            f"{name[:MAX_NAME_LENGTH]!r} is no type of event: "
            "expected <domain>.<action>.<status> in lower case"
        )
    return name


def domain_of(name: str) -> str:
    """The first part of a type's name: all types of a domain are of one service."""
    return name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event, and the version of its data that is published.

    `data` is the class of this version's data; a type without one takes any. `upcasts` has, by the
    version that it starts from, the step to the next one: one for every older version.
    `replayed_by` is the kind of queued job by which the service that owns a domain type publishes
    its events again; empty where no service here does. Raises InvalidEventType, so that a mistake
    is found where the type is declared.
    """

    name: str
    version: int = 1
    layer: Layer = Layer.INTEGRATION
    scope: Scope = Scope.ENVIRONMENT
    summary: str = ""
    data: type[TypedData] | None = None
    upcasts: Mapping[int, Upcast] = field(
        default_factory=lambda: MappingProxyType({}), hash=False, repr=False
    )
    replayed_by: str = ""

    def __post_init__(self) -> None:
        check_type_name(self.name)
        if self.version < 1:
            raise InvalidEventType(f"{self.name} has the version {self.version}; 1 is the first")
        if self.replayed_by and self.layer is not Layer.DOMAIN:
            raise InvalidEventType(f"{self.name} is no domain event, and replayed by nobody's job")
        steps = set(self.upcasts)
        needed = set(range(1, self.version))
        if steps != needed:
            raise InvalidEventType(
                f"{self.name} has the version {self.version} and steps from the versions "
                f"{sorted(steps)}; every older one needs its step, and no other"
            )

    @property
    def fields(self) -> Sequence[FieldOfData]:
        """What the data of this version hold."""
        return self.data.fields if self.data is not None else ()

    def checked(self, data: TypedData | EventData) -> EventData:
        """Data that are to be published, as they are on the wire.

        Raises InvalidField for data that this type cannot have.
        """
        if self.data is None:
            return data.document() if isinstance(data, TypedData) else data
        if not isinstance(data, TypedData):
            return self.data.of(data).document()
        if type(data) is not self.data:
            found, wanted = type(data).__name__, self.data.__name__
            raise InvalidField("data", f"is {found}; {self.name} has {wanted}")
        return data.document()

    def read(self, version: int, data: EventData) -> TypedData:
        """Stored data of any version as the newest one's class.

        Raises InvalidField for data that are none, and InvalidEventType for a type without a class.
        """
        if self.data is None:
            raise InvalidEventType(f"{self.name} takes any data")
        return self.data.read(self.upcast(version, data))

    def upcast(self, version: int, data: EventData) -> EventData:
        """The data of a version as the newest one has it.

        That of a version which this program does not know yet stays as it is.
        """
        for step in range(max(version, 1), self.version):
            data = self.upcasts[step](data)
        return data

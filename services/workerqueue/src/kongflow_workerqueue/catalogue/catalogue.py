"""The catalogue: every kind of queued job that a target declares, and who listens to whom."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from kongflow.endpoints.tasks.v1 import endpoints_tasks_service_pb2
from kongflow.events.tasks.v1 import events_tasks_service_pb2
from kongflow.jobs.tasks.v1 import jobs_tasks_service_pb2
from kongflow.runs.tasks.v1 import runs_tasks_service_pb2
from kongflow.tenancy.tasks.v1 import tenancy_tasks_service_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2
from kongflow.workerqueue.tasks.v1 import workerqueue_tasks_service_pb2
from kongflow_common.eventing.event_type import domain_of
from kongflow_workerqueue.application.catalogue_ports import ArgsRefused, EventHead
from kongflow_workerqueue.catalogue.event_reader import (
    InvalidEvents,
    Publication,
    event_parser,
    publications,
)
from kongflow_workerqueue.catalogue.kind import Kind
from kongflow_workerqueue.catalogue.kind_reader import InvalidKind, read_kinds
from kongflow_workerqueue.catalogue.request_parser import UnreadableArguments

__all__ = [
    "KindCatalogue",
    "built_in_kinds",
    "built_in_publications",
    "kinds_of_descriptor_set",
    "publications_of_descriptor_set",
    "read_catalogue",
]

_logger = logging.getLogger(__name__)

_TASK_MODULES = (
    endpoints_tasks_service_pb2,
    events_tasks_service_pb2,
    jobs_tasks_service_pb2,
    runs_tasks_service_pb2,
    tenancy_tasks_service_pb2,
    workerqueue_tasks_service_pb2,
)
# Tenancy says beside the service that publishes what it publishes.
_PUBLISHING_MODULES = (*_TASK_MODULES, tenancy_service_pb2)


class KindCatalogue:
    """Finds kinds by name, and the consumers of an event by its type.

    Raises InvalidKind when two targets declare the same kind, InvalidEvents when two publish types
    of one domain.
    """

    def __init__(self, kinds: Iterable[Kind], published: Iterable[Publication] = ()) -> None:
        self._kinds: dict[str, Kind] = {}
        for kind in kinds:
            other = self._kinds.setdefault(kind.kind, kind)
            if other is not kind:
                raise InvalidKind(
                    f"The kind {kind.kind} is declared twice: "
                    f"{other.unary.path} and {kind.unary.path}."
                )

        self._consumers: dict[str, list[Kind]] = {}
        for kind in self._kinds.values():
            for type_ in kind.consumes:
                self._consumers.setdefault(type_, []).append(kind)
        self._publishers = _publishers(published)
        self._event_parser = event_parser()

    def consumers(self, type_: str) -> Sequence[Kind]:
        """Returns the kinds that are called with each event of a type."""
        return self._consumers.get(type_, ())

    def consumed_types(self) -> Sequence[str]:
        """Returns the types of event that any kind consumes, in alphabetical order."""
        return sorted(self._consumers)

    def publisher(self, type_: str) -> str | None:
        """Returns the target that publishes the types of an event's domain; None if nobody does."""
        return self._publishers.get(domain_of(type_))

    def read_event(self, event: bytes) -> EventHead:
        """Reads a JSON object as an integration event; raises ArgsRefused."""
        try:
            # Any: messages have their fields at run time.
            read: Any = self._event_parser.parse(event)
        except UnreadableArguments as error:
            raise ArgsRefused(str(error)) from error
        return EventHead(
            read.id, read.type, read.version, read.timestamp, read.resource_id, read.replay_of
        )

    def find(self, kind: str) -> Kind | None:
        """Returns a kind, None when no target declares it."""
        return self._kinds.get(kind)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())


def _publishers(published: Iterable[Publication]) -> dict[str, str]:
    publishers: dict[str, str] = {}
    for publication in published:
        owner = publishers.setdefault(publication.domain, publication.target)
        if owner != publication.target:
            raise InvalidEvents(
                f"{publication.target} publishes {publication.type}: "
                f"the types of {publication.domain} are those of {owner}."
            )
    return publishers


def read_catalogue(descriptor_sets: Mapping[str, Path]) -> KindCatalogue:
    """Reads our own targets and the foreign ones. Raises InvalidKind and InvalidEvents."""
    kinds, published = built_in_kinds(), built_in_publications()
    for target, path in descriptor_sets.items():
        kinds += kinds_of_descriptor_set(target, path)
        published += publications_of_descriptor_set(target, path)
    known = {publication.type for publication in published}
    for kind in kinds:
        for type_ in set(kind.consumes) - known:
            # Its publisher may be joined later; or the name is wrong.
            _logger.warning("%s consumes %s, which nobody publishes", kind.kind, type_)
    return KindCatalogue(kinds, published)


def built_in_publications() -> list[Publication]:
    """Reads what KongFlow's own services publish."""
    published: list[Publication] = []
    for module in _PUBLISHING_MODULES:
        file = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        published += publications(file, target=file.package.split(".")[1])
    return published


def publications_of_descriptor_set(target: str, path: Path) -> list[Publication]:
    """Reads what a foreign target publishes. Raises InvalidEvents."""
    try:
        files = FileDescriptorSet.FromString(path.read_bytes()).file
    except (DecodeError, OSError) as error:
        raise InvalidEvents(f"{path.name} is not a descriptor set: {error}") from error
    return [each for file in files for each in publications(file, target)]


def built_in_kinds() -> list[Kind]:
    """Reads the kinds of KongFlow's own services; `kongflow.events.tasks.v1` is of `events`."""
    kinds: list[Kind] = []
    for module in _TASK_MODULES:
        file = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        kinds += read_kinds(file, module.DESCRIPTOR.pool, target=file.package.split(".")[1])
    return kinds


def kinds_of_descriptor_set(target: str, path: Path) -> list[Kind]:
    """Reads the kinds of a foreign target from its descriptor set (`buf build -o`).

    The set has a pool of its own: two targets may bring different versions of one file.
    Raises InvalidKind when the file cannot be read or is not a whole descriptor set.
    """
    pool = DescriptorPool()
    try:
        files = FileDescriptorSet.FromString(path.read_bytes()).file
        for file in files:
            pool.Add(file)
        return [kind for file in files for kind in read_kinds(file, pool, target)]
    except OSError as error:
        raise InvalidKind(
            f"The descriptor set {path.name} of {target} cannot be read: {error.strerror}"
        ) from error
    except (DecodeError, TypeError, KeyError) as error:
        raise InvalidKind(f"{path.name} is not a whole descriptor set: {error}") from error

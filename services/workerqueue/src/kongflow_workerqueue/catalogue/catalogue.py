"""The catalogue: every kind of queued job that a target declares."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from kongflow.endpoints.tasks.v1 import endpoints_tasks_service_pb2
from kongflow.events.tasks.v1 import events_tasks_service_pb2
from kongflow.runs.tasks.v1 import runs_tasks_service_pb2
from kongflow_workerqueue.catalogue.kind import Kind
from kongflow_workerqueue.catalogue.kind_reader import InvalidKind, read_kinds

__all__ = ["KindCatalogue", "built_in_kinds", "kinds_of_descriptor_set"]

_TASK_MODULES = (
    endpoints_tasks_service_pb2,
    events_tasks_service_pb2,
    runs_tasks_service_pb2,
)


class KindCatalogue:
    """Finds kinds by name. Raises InvalidKind when two targets declare the same kind."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds: dict[str, Kind] = {}
        for kind in kinds:
            other = self._kinds.setdefault(kind.kind, kind)
            if other is not kind:
                raise InvalidKind(
                    f"The kind {kind.kind} is declared twice: "
                    f"{other.unary.path} and {kind.unary.path}."
                )

    def find(self, kind: str) -> Kind | None:
        """Returns a kind, None when no target declares it."""
        return self._kinds.get(kind)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())


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
    Raises InvalidKind when the file is not a whole descriptor set.
    """
    pool = DescriptorPool()
    try:
        files = FileDescriptorSet.FromString(path.read_bytes()).file
        for file in files:
            pool.Add(file)
        return [kind for file in files for kind in read_kinds(file, pool, target)]
    except (DecodeError, TypeError, KeyError) as error:
        raise InvalidKind(f"{path.name} is not a whole descriptor set: {error}") from error

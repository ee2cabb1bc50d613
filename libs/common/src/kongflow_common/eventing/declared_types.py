"""The types of events that there are, whichever service publishes them.

They are here, and not in the services, because they are what services tell each other: whoever
reads a stored event must be able to bring it to the newest version of its type.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from kongflow_common.eventing import declared_data as declared
from kongflow_common.eventing.event_type import (
    EventType,
    InvalidEventType,
    Layer,
    Scope,
    domain_of,
)
from kongflow_common.eventing.typed_data import EventData, TypedData

__all__ = ["DECLARED_TYPES", "DeclaredTypes"]


class DeclaredTypes:
    """Types by their names. Raises InvalidEventType when two have one name."""

    def __init__(self, types: Iterable[EventType]) -> None:
        by_name: dict[str, EventType] = {}
        for type_ in types:
            if type_.name in by_name:
                raise InvalidEventType(f"{type_.name} is declared twice")
            by_name[type_.name] = type_
        self._by_name: Mapping[str, EventType] = MappingProxyType(by_name)

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._by_name.values())

    def get(self, name: str) -> EventType | None:
        """The type of this name; None when it is not declared."""
        return self._by_name.get(name)

    def __getitem__(self, name: str) -> EventType:
        return self._by_name[name]

    def newest(self, name: str, version: int, data: EventData) -> tuple[int, EventData]:
        """Stored data, and its version, as a consumer of the newest version reads them."""
        type_ = self._by_name.get(name)
        if type_ is None or version >= type_.version:
            return version, data
        return type_.version, type_.upcast(version, data)


# Whose domain events are replayed by a queued job of theirs.
_OWNERS: Final = {"event": "events", "job": "jobs", "project": "tenancy", "run": "runs"}


def _above_environments(
    name: str,
    summary: str,
    data: type[TypedData],
    *,
    layer: Layer = Layer.DOMAIN,
    scope: Scope = Scope.PROJECT,
    own: bool = False,
) -> EventType:
    return EventType(
        name,
        layer=layer,
        scope=scope,
        summary=summary,
        data=data,
        replayed_by=_replayed_by(name, layer) if own else "",
    )


def _own(name: str, summary: str, data: type[TypedData], layer: Layer = Layer.DOMAIN) -> EventType:
    return EventType(
        name,
        layer=layer,
        summary=summary,
        data=data,
        replayed_by=_replayed_by(name, layer),
    )


def _replayed_by(name: str, layer: Layer) -> str:
    return f"{_OWNERS[domain_of(name)]}.replayDomainEvent" if layer is Layer.DOMAIN else ""


_PROJECTS: Final = (
    _above_environments(
        "project.created", "A project was created.", declared.ProjectCreated, own=True
    ),
    _above_environments("project.updated", "A project was changed.", declared.ProjectUpdated),
    _above_environments(
        "project.deleted",
        "A project was deleted.",
        declared.ProjectDeleted,
        layer=Layer.INTEGRATION,
        # Nobody sees the project any more.
        scope=Scope.ORGANIZATION,
    ),
    _above_environments(
        "environment.deleted",
        "An environment was deleted, alone or with its project.",
        declared.EnvironmentDeleted,
        layer=Layer.INTEGRATION,
    ),
    _above_environments(
        "project.init.queued",
        "Setting a project up waits for its turn.",
        declared.ProjectInitData,
        layer=Layer.INTEGRATION,
    ),
    _above_environments(
        "project.init.started", "Setting a project up has begun.", declared.ProjectInitData
    ),
    _above_environments(
        "project.init.step_completed",
        "A step of setting a project up is done.",
        declared.ProjectInitStepCompleted,
    ),
    _above_environments(
        "project.init.completed",
        "A project is set up.",
        declared.ProjectInitData,
        layer=Layer.INTEGRATION,
    ),
    _above_environments(
        "project.init.failed",
        "A project could not be set up.",
        declared.ProjectInitFailed,
        layer=Layer.INTEGRATION,
    ),
    _above_environments(
        "user.created", "A user was created.", declared.UserData, scope=Scope.ORGANIZATION
    ),
    _above_environments(
        "user.updated", "A user was changed.", declared.UserData, scope=Scope.ORGANIZATION
    ),
)

_DEPLOYMENTS: Final = tuple(
    _above_environments(name, summary, data, layer=Layer.INTEGRATION)
    for name, summary, data in (
        ("deployment.queued", "A deployment waits for its turn.", declared.DeploymentData),
        ("deployment.processing", "A deployment has begun.", declared.DeploymentData),
        ("deployment.completed", "A deployment is done.", declared.DeploymentData),
        ("deployment.failed", "A deployment has failed.", declared.DeploymentFailed),
        ("gitops.sync.queued", "A synchronisation waits for its turn.", declared.SyncData),
        ("gitops.sync.completed", "A synchronisation is done.", declared.SyncData),
        ("gitops.sync.failed", "A synchronisation has failed.", declared.SyncFailed),
    )
)

_REALTIME: Final = tuple(
    _above_environments(name, summary, data, layer=Layer.REALTIME)
    for name, summary, data in (
        ("progress.updated", "Something gets on.", declared.ProgressUpdated),
        ("status.changed", "Something has another status.", declared.StatusChanged),
        ("notification.sent", "Somebody is told something.", declared.NotificationSent),
    )
)

_RUN_ENDS: Final = {
    "success": "A run has succeeded.",
    "failure": "A run has failed.",
    "timed_out": "A run took too long.",
    "aborted": "A run was given up.",
    "canceled": "A run was cancelled.",
    "unresolved_auth": "A run lacks a connection.",
    "invalid_payload": "A run's payload does not fit its job.",
}

_SYSTEM: Final = (
    _own(
        "event.ingested",
        "An event is stored. One that is matched as it is stored says so here, and has no "
        "`event.delivered`.",
        declared.EventIngested,
    ),
    _own("event.delivered", "A stored event was matched.", declared.EventDelivered),
    _own(
        "event.cancelled", "An event was taken back before its delivery.", declared.EventCancelled
    ),
    _own(
        "account.deleted",
        "An account of a sender was deleted.",
        declared.AccountDeleted,
        Layer.INTEGRATION,
    ),
    _own("job.registered", "A version of a job was registered.", declared.JobVersionData),
    _own("job.disabled", "A version of a job was disabled.", declared.JobVersionData),
    _above_environments(
        "job.deleted",
        "A job was deleted, in all environments of its project.",
        declared.JobDeleted,
        own=True,
    ),
    _own(
        "endpoint.index.success",
        "An endpoint was indexed.",
        declared.EndpointIndexed,
        Layer.INTEGRATION,
    ),
    _own(
        "endpoint.index.failure",
        "An endpoint could not be indexed.",
        declared.EndpointIndexFailed,
        Layer.INTEGRATION,
    ),
    _own("run.created", "A run is stored, and waits for its start.", declared.RunCreated),
    _own("run.started", "The first execution of a run has begun.", declared.RunStarted),
    *(
        _own(f"run.completed.{status}", summary, declared.RunCompleted, Layer.INTEGRATION)
        for status, summary in _RUN_ENDS.items()
    ),
)

DECLARED_TYPES: Final = DeclaredTypes((*_PROJECTS, *_DEPLOYMENTS, *_REALTIME, *_SYSTEM))
"""Every type that events of this system have."""

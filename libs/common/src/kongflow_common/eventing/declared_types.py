"""The types of events that there are, whichever service publishes them.

They are here, and not in the services, because they are what services tell each other: whoever
reads a stored event must be able to bring it to the newest version of its type.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from kongflow_common.eventing.event_type import (
    EventData,
    EventType,
    InvalidEventType,
    Layer,
    Scope,
    domain_of,
)

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

_PROJECT: Final = {
    "projectId": "the project",
    "name": "its name",
    "organizationId": "the organization it belongs to",
}
_USER: Final = {"userId": "the user", "organizationId": "the organization of the user"}
_DEPLOYMENT: Final = {"deploymentId": "the deployment", "projectId": "the project it deploys"}
_SYNC: Final = {"syncId": "the synchronisation", "projectId": "the project"}
_EVENT: Final = {"eventId": "the sender's id of the event", "name": "what happened"}
_VERSION: Final = {"slug": "the job", "version": "its version"}
_INDEX: Final = {"endpointId": "the endpoint"}
_RUN: Final = {
    "state": "how it ended",
    "jobSlug": "the job, where it was found",
    "jobVersion": "the job's version, where it was found",
}


def _above_environments(
    name: str,
    summary: str,
    fields: Mapping[str, str],
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
        fields=fields,
        replayed_by=_replayed_by(name, layer) if own else "",
    )


def _own(
    name: str, summary: str, fields: Mapping[str, str], layer: Layer = Layer.DOMAIN
) -> EventType:
    return EventType(
        name,
        layer=layer,
        summary=summary,
        fields=fields,
        replayed_by=_replayed_by(name, layer),
    )


def _replayed_by(name: str, layer: Layer) -> str:
    return f"{_OWNERS[domain_of(name)]}.replayDomainEvent" if layer is Layer.DOMAIN else ""


_PROJECTS: Final = (
    _above_environments(
        "project.created",
        "A project was created.",
        {**_PROJECT, "createdBy": "who created it"},
        own=True,
    ),
    _above_environments("project.updated", "A project was changed.", _PROJECT),
    _above_environments(
        "project.deleted",
        "A project was deleted.",
        {"organizationId": "the organization it belonged to"},
        layer=Layer.INTEGRATION,
        # Nobody sees the project any more.
        scope=Scope.ORGANIZATION,
    ),
    _above_environments(
        "environment.deleted",
        "An environment was deleted, alone or with its project.",
        {"projectId": "the project", "organizationId": "the organization it belonged to"},
        layer=Layer.INTEGRATION,
    ),
    *(
        _above_environments(
            f"project.init.{status}", summary, {"projectId": "the project", **more}, layer=layer
        )
        for status, summary, more, layer in (
            ("queued", "Setting a project up waits for its turn.", {}, Layer.INTEGRATION),
            ("started", "Setting a project up has begun.", {}, Layer.DOMAIN),
            (
                "step_completed",
                "A step of setting a project up is done.",
                {"step": "which one"},
                Layer.DOMAIN,
            ),
            ("completed", "A project is set up.", {}, Layer.INTEGRATION),
            ("failed", "A project could not be set up.", {"message": "why"}, Layer.INTEGRATION),
        )
    ),
    _above_environments("user.created", "A user was created.", _USER, scope=Scope.ORGANIZATION),
    _above_environments("user.updated", "A user was changed.", _USER, scope=Scope.ORGANIZATION),
)

_DEPLOYMENTS: Final = (
    *(
        _above_environments(
            f"deployment.{status}", summary, {**_DEPLOYMENT, **more}, layer=Layer.INTEGRATION
        )
        for status, summary, more in (
            ("queued", "A deployment waits for its turn.", {}),
            ("processing", "A deployment has begun.", {}),
            ("completed", "A deployment is done.", {}),
            ("failed", "A deployment has failed.", {"message": "why"}),
        )
    ),
    *(
        _above_environments(
            f"gitops.sync.{status}", summary, {**_SYNC, **more}, layer=Layer.INTEGRATION
        )
        for status, summary, more in (
            ("queued", "A synchronisation waits for its turn.", {}),
            ("completed", "A synchronisation is done.", {}),
            ("failed", "A synchronisation has failed.", {"message": "why"}),
        )
    ),
)

_REALTIME: Final = (
    _above_environments(
        "progress.updated",
        "Something gets on.",
        {
            "projectId": "the project",
            "step": "what is being done",
            "progress": "how much of it is done, from 0 to 100",
            "message": "the same in words",
        },
        layer=Layer.REALTIME,
    ),
    _above_environments(
        "status.changed",
        "Something has another status.",
        {"status": "the new one", "previous": "the one before"},
        layer=Layer.REALTIME,
    ),
    _above_environments(
        "notification.sent",
        "Somebody is told something.",
        {"title": "what it is about", "message": "what it says"},
        layer=Layer.REALTIME,
    ),
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
        {
            **_EVENT,
            "source": "who said so",
            "matchedCount": "how many dispatchers took it; null while it is to be delivered",
        },
    ),
    _own(
        "event.delivered",
        "A stored event was matched.",
        {"matchedCount": "how many dispatchers took it"},
    ),
    _own("event.cancelled", "An event was taken back before its delivery.", _EVENT),
    _own(
        "account.deleted",
        "An account of a sender was deleted.",
        {},
        Layer.INTEGRATION,
    ),
    _own(
        "job.registered",
        "A version of a job was registered.",
        _VERSION,
    ),
    _own("job.disabled", "A version of a job was disabled.", _VERSION),
    _above_environments(
        "job.deleted",
        "A job was deleted, in all environments of its project.",
        {"slug": "the job"},
        own=True,
    ),
    _own(
        "endpoint.index.success",
        "An endpoint was indexed.",
        {**_INDEX, "statistics": "how many of what was found"},
        Layer.INTEGRATION,
    ),
    _own(
        "endpoint.index.failure",
        "An endpoint could not be indexed.",
        {**_INDEX, "message": "why"},
        Layer.INTEGRATION,
    ),
    _own(
        "run.created",
        "A run is stored, and waits for its start.",
        {
            "jobId": "the job",
            "eventRecordId": "the record of its event",
            "dispatcherId": "the dispatcher that took the event, unless the job was called by name",
        },
    ),
    _own(
        "run.started",
        "The first execution of a run has begun.",
        {"queuedJobId": "the queued job that executes it"},
    ),
    *(
        _own(f"run.completed.{status}", summary, _RUN, Layer.INTEGRATION)
        for status, summary in _RUN_ENDS.items()
    ),
)

DECLARED_TYPES: Final = DeclaredTypes((*_PROJECTS, *_DEPLOYMENTS, *_REALTIME, *_SYSTEM))
"""Every type that events of this system have."""

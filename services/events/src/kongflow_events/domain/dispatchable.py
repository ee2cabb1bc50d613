"""What a dispatcher starts, and how it is written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias, assert_never, cast
from uuid import UUID

from kongflow_common.payload import JsonDocument

__all__ = [
    "LATEST",
    "Dispatchable",
    "DynamicTrigger",
    "Ephemeral",
    "JobVersion",
    "UnparsableDispatchable",
    "parse_dispatchable",
    "write_dispatchable",
]

LATEST: Final = "latest"
_JOB_VERSION: Final = "JOB_VERSION"
_DYNAMIC_TRIGGER: Final = "DYNAMIC_TRIGGER"
_EPHEMERAL: Final = "EPHEMERAL"


class UnparsableDispatchable(ValueError):
    """What the dispatcher starts is not of a kind that this version knows."""


@dataclass(frozen=True, slots=True)
class JobVersion:
    """A version of a job: by an alias or by its number; exactly one of the two is set.

    `version_id` is the version that this stands for, where the one who puts the dispatcher keeps
    it up to date; else it is found when a run is started.
    """

    job_id: UUID
    alias: str | None = LATEST
    version: str | None = None
    version_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class DynamicTrigger:
    """All jobs of a dynamic trigger, each in its latest version."""

    trigger_id: UUID


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A URL that is called back with one event, unless its time is over before."""

    url: str
    expires_at: datetime


Dispatchable: TypeAlias = JobVersion | DynamicTrigger | Ephemeral


def write_dispatchable(dispatchable: Dispatchable) -> JsonDocument:
    """The stored form, an object with the member `type`.

    `{"type": "JOB_VERSION", "job_id", "alias" | "version", "version_id"?}`,
    `{"type": "DYNAMIC_TRIGGER", "id"}` or `{"type": "EPHEMERAL", "url", "expires_at"}`.
    """
    match dispatchable:
        case JobVersion():
            stored = {"type": _JOB_VERSION, "job_id": str(dispatchable.job_id)}
            if dispatchable.version is not None:
                stored["version"] = dispatchable.version
            else:
                stored["alias"] = dispatchable.alias or LATEST
            if dispatchable.version_id is not None:
                stored["version_id"] = str(dispatchable.version_id)
        case DynamicTrigger():
            stored = {"type": _DYNAMIC_TRIGGER, "id": str(dispatchable.trigger_id)}
        case Ephemeral():
            stored = {
                "type": _EPHEMERAL,
                "url": dispatchable.url,
                "expires_at": dispatchable.expires_at.isoformat(),
            }
        case _:
            assert_never(dispatchable)
    return JsonDocument.dump(stored)


# A dispatcher is read anew for each of its events, and seldom changes.
@lru_cache(maxsize=1_024)
def parse_dispatchable(document: JsonDocument) -> Dispatchable:
    """Read the stored form. Raises UnparsableDispatchable."""
    stored = document.load()
    if not isinstance(stored, Mapping):
        raise UnparsableDispatchable("is not an object")
    members = cast("Mapping[str, object]", stored)
    match members.get("type"):
        case "JOB_VERSION":
            return _job_version(members)
        case "DYNAMIC_TRIGGER":
            return DynamicTrigger(_id(members.get("id"), "a dynamic trigger"))
        case "EPHEMERAL":
            return _ephemeral(members)
        case unknown:
            raise UnparsableDispatchable(f"is of the unknown type {unknown!r}")


def _job_version(members: Mapping[str, object]) -> JobVersion:
    job_id, alias, version = (members.get(name) for name in ("job_id", "alias", "version"))
    if not isinstance(job_id, str):
        raise UnparsableDispatchable("names no job")
    given = members.get("version_id")
    version_id = None if given is None else _id(given, "a version")
    if isinstance(version, str) and version and alias is None:
        return JobVersion(_id(job_id, "a job"), None, version, version_id)
    if version is None and (alias is None or (isinstance(alias, str) and alias)):
        return JobVersion(
            _id(job_id, "a job"), LATEST if alias is None else alias, version_id=version_id
        )
    raise UnparsableDispatchable("names neither an alias nor a version, or both")


def _ephemeral(members: Mapping[str, object]) -> Ephemeral:
    url, expires_at = members.get("url"), members.get("expires_at")
    if not isinstance(url, str) or not url:
        raise UnparsableDispatchable("names no URL")
    try:
        expires = datetime.fromisoformat(cast("str", expires_at))
    except (ValueError, TypeError):
        raise UnparsableDispatchable("does not say when it expires") from None
    if expires.tzinfo is None:
        raise UnparsableDispatchable("expires at a time without a zone")
    return Ephemeral(url, expires)


def _id(stored: object, what: str) -> UUID:
    try:
        return UUID(cast("str", stored))
    except (ValueError, AttributeError, TypeError):
        raise UnparsableDispatchable(f"names {what} whose id is not a UUID") from None

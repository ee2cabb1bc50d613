"""What a dispatcher starts, and how it is written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, cast
from uuid import UUID

from kongflow_common.payload import JsonDocument

__all__ = [
    "LATEST",
    "Dispatchable",
    "JobVersion",
    "UnparsableDispatchable",
    "parse_dispatchable",
    "write_dispatchable",
]

LATEST: Final = "latest"
_JOB_VERSION: Final = "JOB_VERSION"


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


Dispatchable: TypeAlias = JobVersion
"""A union once there are more kinds; code that branches on it ends in assert_never."""


def write_dispatchable(dispatchable: Dispatchable) -> JsonDocument:
    """The stored form: `{"type": "JOB_VERSION", "job_id", "alias" | "version", "version_id"?}`."""
    stored = {"type": _JOB_VERSION, "job_id": str(dispatchable.job_id)}
    if dispatchable.version is not None:
        stored["version"] = dispatchable.version
    else:
        stored["alias"] = dispatchable.alias or LATEST
    if dispatchable.version_id is not None:
        stored["version_id"] = str(dispatchable.version_id)
    return JsonDocument.dump(stored)


def parse_dispatchable(document: JsonDocument) -> Dispatchable:
    """Read the stored form. Raises UnparsableDispatchable."""
    stored = document.load()
    if not isinstance(stored, Mapping):
        raise UnparsableDispatchable("is not an object")
    members = cast("Mapping[str, object]", stored)
    if members.get("type") != _JOB_VERSION:
        raise UnparsableDispatchable(f"is of the unknown type {members.get('type')!r}")
    job_id, alias, version = (members.get(name) for name in ("job_id", "alias", "version"))
    if not isinstance(job_id, str):
        raise UnparsableDispatchable("names no job")
    version_id = _version_id(members.get("version_id"))
    if isinstance(version, str) and version and alias is None:
        return JobVersion(_job_id(job_id), None, version, version_id)
    if version is None and (alias is None or (isinstance(alias, str) and alias)):
        return JobVersion(
            _job_id(job_id), LATEST if alias is None else alias, version_id=version_id
        )
    raise UnparsableDispatchable("names neither an alias nor a version, or both")


def _job_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise UnparsableDispatchable("names a job whose id is not a UUID") from None


def _version_id(stored: object) -> UUID | None:
    if stored is None:
        return None
    try:
        return UUID(cast("str", stored))
    except (ValueError, AttributeError):
        raise UnparsableDispatchable("names a version whose id is not a UUID") from None

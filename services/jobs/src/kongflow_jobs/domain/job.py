"""Jobs and what belongs to them, as they are stored."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from kongflow_common.payload import JsonDocument

LATEST: Final = "latest"
DEFAULT_QUEUE: Final = "default"


class VersionStatus(StrEnum):
    """Whether a version can be started."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class TriggerKind(StrEnum):
    """What starts a version."""

    STATIC = "static"
    SCHEDULED = "scheduled"
    DYNAMIC = "dynamic"
    INVOKE = "invoke"


@dataclass(frozen=True, slots=True)
class JobPlace:
    """An environment with what it belongs to."""

    environment_id: UUID
    project_id: UUID
    organization_id: UUID


@dataclass(frozen=True, slots=True)
class UsedIntegration:
    """An integration that a version uses, under the job's own name for it."""

    key: str
    integration: str
    auth_source: str


@dataclass(frozen=True, slots=True)
class JobVersion:
    """A version of a job in an environment."""

    id: UUID
    job_id: UUID
    version: str
    status: VersionStatus
    trigger: TriggerKind
    event_specification: JsonDocument
    properties: JsonDocument | None
    endpoint_id: UUID
    queue_name: str
    concurrency_limit: int | None
    concurrency_limit_group: str | None
    preprocess_runs: bool
    integrations: tuple[UsedIntegration, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Job:
    """A job, with the version that `latest` stands for in an environment."""

    id: UUID
    slug: str
    title: str
    internal: bool
    latest: JobVersion | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class JobAlias:
    """A name that stands for a version."""

    id: UUID
    job_id: UUID
    name: str
    value: str
    version_id: UUID


@dataclass(frozen=True, slots=True)
class EventExample:
    """A payload to try a version with."""

    id: UUID
    version_id: UUID
    slug: str
    name: str
    icon: str | None
    payload: JsonDocument


@dataclass(frozen=True, slots=True)
class JobQueue:
    """A named queue of an environment, and how many versions use it."""

    id: UUID
    name: str
    max_jobs: int
    job_count: int


@dataclass(frozen=True, slots=True)
class VersionReference:
    """Names a version: by its id, or by a job with an alias or a number."""

    environment_id: UUID
    job_id: UUID | None
    alias: str | None
    version: str | None
    version_id: UUID | None


@dataclass(frozen=True, slots=True)
class ResolvedVersion:
    """What a reference stands for."""

    job_id: UUID
    job_slug: str
    version_id: UUID
    version: str
    active: bool
    endpoint_id: UUID
    queue_id: UUID
    preprocess_runs: bool
    hosted_integrations: bool
    internal: bool


@dataclass(frozen=True, slots=True)
class LiveJob:
    """A job whose latest version is active."""

    slug: str
    version: str
    internal: bool

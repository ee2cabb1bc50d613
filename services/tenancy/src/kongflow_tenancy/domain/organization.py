"""Organizations, and the projects and environments below them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

DEFAULT_MAXIMUM_EXECUTION_TIME = timedelta(minutes=15)
LONGEST_MAXIMUM_EXECUTION_TIME = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer: owns projects."""

    id: UUID
    slug: str
    title: str
    runs_enabled: bool
    maximum_execution_time_per_run: timedelta
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Project:
    """A program of an organization: owns environments."""

    id: UUID
    slug: str
    name: str
    organization_id: UUID
    created_at: datetime
    updated_at: datetime


class EnvironmentType(StrEnum):
    """What an environment is for; the values are those of the original."""

    PRODUCTION = "PRODUCTION"
    STAGING = "STAGING"
    DEVELOPMENT = "DEVELOPMENT"
    PREVIEW = "PREVIEW"


@dataclass(frozen=True, slots=True)
class Environment:
    """A place where a project runs."""

    id: UUID
    slug: str
    type: EnvironmentType
    shortcode: str
    auto_enable_internal_sources: bool
    project_id: UUID
    organization_id: UUID
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class EnvironmentContext:
    """An environment with what other services must know of what it belongs to."""

    environment_id: UUID
    project_id: UUID
    organization_id: UUID
    slug: str
    type: EnvironmentType
    runs_enabled: bool


@dataclass(frozen=True, slots=True)
class EnvironmentDescription:
    """An environment as the programs of users are told of it.

    `maximum_execution_time_per_run` is the organization's: all executions of a run together.
    """

    environment: EnvironmentContext
    project_slug: str
    project_name: str
    organization_slug: str
    organization_title: str
    maximum_execution_time_per_run: timedelta

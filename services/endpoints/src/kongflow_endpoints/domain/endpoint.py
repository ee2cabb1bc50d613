"""Endpoints, their indexes and what those found, as they are stored."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from kongflow_common.errors import InvalidField
from kongflow_common.http.addresses import read_url
from kongflow_common.payload import JsonDocument

MERGED_WITHIN: Final = timedelta(minutes=15)
HOOK_DELAY: Final = timedelta(seconds=5)
INDEXED_AGAIN_AFTER: Final = timedelta(minutes=10)
KEPT_FOR: Final = timedelta(days=7)
"""How long an index is kept that has ended and is not its endpoint's newest."""
PROBED_AGAIN_AFTER: Final = timedelta(days=1)
"""When an endpoint is probed again whose limit could not be measured."""
SHORTEST_CHUNK_MS: Final = 10_000
LONGEST_CHUNK_MS: Final = 120_000

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
# The original's alphabet, which has no w.
_HOOK_ALPHABET = "0123456789abcdefghijklmnopqrstuvxyz"
_HOOK_LENGTH = 10


class IndexStatus(StrEnum):
    """Where an index is on its way."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


class IndexSource(StrEnum):
    """Who asked for an index."""

    MANUAL = "MANUAL"
    API = "API"
    INTERNAL = "INTERNAL"
    HOOK = "HOOK"


class LimitOrigin(StrEnum):
    """Where an endpoint's limit of an execution comes from; the lower ones stand above."""

    DEFAULT = "DEFAULT"
    PROBE = "PROBE"
    USER = "USER"


class ItemKind(StrEnum):
    """What an index found."""

    JOB = "JOB"
    SOURCE = "SOURCE"
    DYNAMIC_TRIGGER = "DYNAMIC_TRIGGER"
    DYNAMIC_SCHEDULE = "DYNAMIC_SCHEDULE"
    HTTP_ENDPOINT = "HTTP_ENDPOINT"
    WEBHOOK = "WEBHOOK"


class Wish(StrEnum):
    """What is to be done with a thing that was found, or is missing."""

    REGISTER = "REGISTER"
    DISABLE = "DISABLE"
    KEEP = "KEEP"


class Outcome(StrEnum):
    """What became of it."""

    PENDING = "PENDING"
    REGISTERED = "REGISTERED"
    DISABLED = "DISABLED"
    DEFERRED = "DEFERRED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Place:
    """An environment with what it belongs to."""

    environment_id: UUID
    project_id: UUID
    organization_id: UUID


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A program of the user's; `url` None once it is deleted. Times in milliseconds.

    `environment_type` is in capitals, for example `DEVELOPMENT`; None where it is not known.
    """

    id: UUID
    slug: str
    url: str | None
    place: Place
    indexing_hook_identifier: str
    version: str
    sdk_version: str
    run_chunk_execution_limit: int
    start_task_threshold: int
    before_execute_task_threshold: int
    before_complete_task_threshold: int
    after_complete_task_threshold: int
    created_at: datetime
    updated_at: datetime
    environment_type: str | None
    run_chunk_execution_limit_origin: LimitOrigin

    @property
    def may_be_probed(self) -> bool:
        """Whether its platform's limit matters and nobody has said or measured it."""
        return (
            self.environment_type not in {None, "DEVELOPMENT"}
            and self.run_chunk_execution_limit_origin is LimitOrigin.DEFAULT
        )


@dataclass(frozen=True, slots=True)
class NewItem:
    """A thing that an index found, or found missing."""

    id: UUID
    kind: ItemKind
    key: str
    version: str | None
    wish: Wish
    internal: bool
    metadata: JsonDocument | None

    @property
    def outcome(self) -> Outcome:
        """What is known of it at first: what no context takes yet is kept."""
        return Outcome.DEFERRED if self.wish is Wish.KEEP else Outcome.PENDING


@dataclass(frozen=True, slots=True)
class IndexItem:
    """The same with what became of it."""

    id: UUID
    kind: ItemKind
    key: str
    version: str | None
    outcome: Outcome
    error: str | None
    warnings: tuple[str, ...]
    metadata: JsonDocument | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """What an index found and what became of it; `jobs` without internal ones."""

    jobs: int
    sources: int
    webhooks: int
    dynamic_triggers: int
    dynamic_schedules: int
    disabled_jobs: int
    http_endpoints: int
    failed: int
    deferred: int


@dataclass(frozen=True, slots=True)
class IndexFailure:
    """Why an index failed; `raw` is what the endpoint answered, where that helps."""

    message: str
    raw: JsonDocument | None = None


@dataclass(frozen=True, slots=True)
class EndpointIndex:
    """One look at what an endpoint holds."""

    id: UUID
    endpoint_id: UUID
    status: IndexStatus
    source: IndexSource
    reason: str | None
    data: JsonDocument | None
    statistics: Statistics | None
    error: IndexFailure | None
    failed_items: Sequence[IndexItem]
    created_at: datetime
    updated_at: datetime


def checked_url(text: str, field: str) -> str:
    """A URL that may be called, as far as its text tells. Raises InvalidField."""
    if not text:
        raise InvalidField(field, "is required")
    try:
        return read_url(text).text
    except ValueError as error:
        raise InvalidField(field, str(error)) from None


def checked_slug(text: str, field: str) -> str:
    """The id of an endpoint. Raises InvalidField."""
    if not text:
        raise InvalidField(field, "is required")
    if _SLUG.fullmatch(text) is None:
        raise InvalidField(field, "must be 1 to 100 letters, digits, dashes, underscores and dots")
    return text


def measured_chunk(duration: timedelta) -> int:
    """The limit of an execution, in milliseconds, where a platform let one last so long."""
    milliseconds = duration // timedelta(milliseconds=1)
    return min(max(milliseconds, SHORTEST_CHUNK_MS), LONGEST_CHUNK_MS)


def new_hook_identifier(choose: Callable[[str], str]) -> str:
    """Part of an address that nobody can guess; `choose` draws a character."""
    return "".join(choose(_HOOK_ALPHABET) for _ in range(_HOOK_LENGTH))

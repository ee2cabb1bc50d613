"""What a run is, and the states it goes through."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from kongflow_common.payload import JsonDocument


class RunState(StrEnum):
    """Where a run is on its way, in the original's words (docs/behaviour.md#run-states)."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    WAITING_ON_CONNECTIONS = "WAITING_ON_CONNECTIONS"
    PREPROCESSING = "PREPROCESSING"
    STARTED = "STARTED"
    EXECUTING = "EXECUTING"
    WAITING_TO_CONTINUE = "WAITING_TO_CONTINUE"
    WAITING_TO_EXECUTE = "WAITING_TO_EXECUTE"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"
    CANCELED = "CANCELED"
    UNRESOLVED_AUTH = "UNRESOLVED_AUTH"
    INVALID_PAYLOAD = "INVALID_PAYLOAD"


ENDED = frozenset(
    {
        RunState.SUCCESS,
        RunState.FAILURE,
        RunState.TIMED_OUT,
        RunState.ABORTED,
        RunState.CANCELED,
        RunState.UNRESOLVED_AUTH,
        RunState.INVALID_PAYLOAD,
    }
)
"""The states that nothing follows."""


@dataclass(frozen=True, slots=True)
class VersionSelector:
    """Which version of a job: an alias that is looked up later, or a version itself.

    Exactly one of the two is set.
    """

    alias: str | None
    version: str | None


# Not frozen, though nobody changes one: of a run among many that costs a microsecond.
@dataclass(slots=True)
class NewRun:
    """A run to be created, unique by its event record, dispatcher and job.

    One that no dispatcher started is unique by its `request_id` instead. `version_id` is the
    version that the selector stands for, where it is known already.
    """

    id: UUID
    environment_id: UUID
    project_id: UUID
    organization_id: UUID
    event_record_id: UUID
    dispatcher_id: UUID | None
    job_id: UUID
    selector: VersionSelector
    external_account_id: UUID | None
    is_test: bool
    internal: bool
    traceparent: str
    version_id: UUID | None = None
    request_id: str | None = None


class CreatedRun(NamedTuple):
    """The run that holds a place; `state` is that of a new one, None where it was there before."""

    id: UUID
    state: RunState | None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it is stored. ``number`` is ``None`` until the run is queued.

    ``output`` is what the job returned, or what went wrong, where the whole run was read; None
    is nothing, which JSON's null is not. ``error`` is the same for people, when it failed.
    ``execution_duration_ms`` sums up all executions.
    """

    id: UUID
    number: int | None
    state: RunState
    job_id: UUID
    selector: VersionSelector
    event_record_id: UUID
    dispatcher_id: UUID | None
    is_test: bool
    internal: bool
    version_id: UUID | None
    job_slug: str | None
    endpoint_id: UUID | None
    output: JsonDocument | None
    error: str | None
    execution_count: int
    execution_failure_count: int
    execution_duration_ms: int
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime

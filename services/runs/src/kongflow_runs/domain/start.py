"""What becomes of a pending run when it is started."""

from dataclasses import dataclass
from uuid import UUID

import orjson

from kongflow_common.payload import JsonDocument
from kongflow_runs.domain.run import NewRun, RunState, VersionSelector

__all__ = ["PendingRun", "ResolvedVersion", "Startable", "StartedAs", "start"]


@dataclass(frozen=True, slots=True)
class PendingRun:
    """A run that has not been started."""

    id: UUID
    environment_id: UUID
    job_id: UUID
    selector: VersionSelector
    version_id: UUID | None


Startable = PendingRun | NewRun
"""A run that is to be started: it is stored and pending, or about to be stored."""


@dataclass(frozen=True, slots=True)
class ResolvedVersion:
    """The version that a run executes."""

    version_id: UUID
    version: str
    job_slug: str
    endpoint_id: UUID
    queue_id: UUID
    active: bool
    preprocess: bool
    hosted_integrations: bool


@dataclass(frozen=True, slots=True)
class StartedAs:
    """How a run goes on: QUEUED to be executed, waiting, or ended with a message."""

    run_id: UUID
    state: RunState
    version: ResolvedVersion | None
    error: str | None = None

    @property
    def output(self) -> JsonDocument | None:
        """What is stored of the error."""
        if self.error is None:
            return None
        return JsonDocument(orjson.dumps({"message": self.error}))


def start(run: Startable, version: ResolvedVersion | None, *, runs_enabled: bool) -> StartedAs:
    """How a run goes on that nobody has started (docs/behaviour.md#start-run)."""
    if version is None:
        message = f"Job {run.job_id} is not registered in this environment"
        return StartedAs(run.id, RunState.FAILURE, None, message)
    if not runs_enabled:
        message = "The organization may not run jobs"
        return StartedAs(run.id, RunState.ABORTED, version, message)
    if not version.active:
        message = f"Version {version.version} of the job {version.job_slug} is disabled"
        return StartedAs(run.id, RunState.ABORTED, version, message)
    if version.hosted_integrations:
        return StartedAs(run.id, RunState.WAITING_ON_CONNECTIONS, version)
    return StartedAs(run.id, RunState.QUEUED, version)
